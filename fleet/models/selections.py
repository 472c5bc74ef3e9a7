"""What a person keeps for later: views of the list of instances, and the machines that are ticked in one tab."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from fleet.models.people import User


class SavedView(models.Model):
    """A filter of the list of instances under a name, for its owner or for everybody."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2000, blank=True, help_text="The filter as a query string")
    shared = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="view_once")]

    def __str__(self) -> str:
        return self.name


class Selection(models.Model):
    """The machines that a person has ticked in one tab, by primary key: they stay, whatever the filter shows later.

    `misses` keeps what was pasted and is not among them (`drafting.omissions.Omission`): the text, code, reason, and primary key
    of the machine or None.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    instances = ArrayField(models.BigIntegerField(), default=list)
    misses = models.JSONField(default=list, help_text="What was pasted and fits no machine")
    touched_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["touched_at"], name="selection_by_age")]
