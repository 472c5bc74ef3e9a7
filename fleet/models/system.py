"""What the program knows of itself."""

from django.db import models


class Heartbeat(models.Model):
    """When something last happened: `tick` (a tick of the worker), `sync` (a pass over the mirror)."""

    name = models.CharField(max_length=32, primary_key=True)
    at = models.DateTimeField()
    note = models.CharField(max_length=200, blank=True)


class Installation(models.Model):
    """The identity of the database that the running work belongs to.

    PostgreSQL's system identifier and timeline: a database restored from a backup shows another timeline (or another
    identifier), and every live replacement is then held for a person.
    """

    system_identifier = models.CharField(max_length=32)
    timeline = models.PositiveIntegerField()
    known_since = models.DateTimeField(auto_now_add=True)
