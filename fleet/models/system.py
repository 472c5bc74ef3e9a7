"""What the program keeps about itself."""

from django.db import models


class Heartbeat(models.Model):
    """When the worker last did something: `tick` (a tick of the engine), `sync` (a pass over the mirror)."""

    name = models.CharField(max_length=32, primary_key=True)
    at = models.DateTimeField()
    note = models.CharField(max_length=200, blank=True)


class Installation(models.Model):
    """The identity of the database in which the running work was begun.

    It is the system identifier and the timeline of PostgreSQL. A database that was restored from a backup has another timeline
    (or another identifier), and then every replacement that was running is held for a person.
    """

    system_identifier = models.CharField(max_length=32)
    timeline = models.PositiveIntegerField()
    known_since = models.DateTimeField(auto_now_add=True)
