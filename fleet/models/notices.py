"""Messages to people and to other systems: where they go, and each message with its attempts."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from fleet.models.people import User


class Webhook(models.Model):
    """An address that takes signed messages (Standard Webhooks): news of changes, or a step before or after a replacement."""

    class Purpose(models.TextChoices):
        """What messages the address takes."""

        NEWS = "news", "News of changes"
        STEP = "step", "Step of a rollout"

    name = models.CharField(max_length=80, unique=True)
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    url = models.URLField(max_length=500)
    secret = models.ForeignKey("fleet.SealedSecret", on_delete=models.PROTECT)
    events = ArrayField(models.CharField(max_length=64), default=list, help_text="Empty: all")
    active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One message to one receiver, tried until it is delivered or given up. It holds links and no secrets."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, null=True, related_name="deliveries")
    person = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    event = models.CharField(max_length=64)
    change = models.ForeignKey("fleet.Change", on_delete=models.CASCADE, null=True, related_name="deliveries")
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    lease = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(webhook=None, person__isnull=False) | Q(webhook__isnull=False, person=None),
                name="delivery_has_one_receiver",
            )
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="delivery_due")]
