"""The audit trail's tables. `fleet.audit` writes and verifies; triggers number, time and chain every row."""

from django.db import models
from django.db.models import DO_NOTHING, Q
from django.db.models.functions import Now


class AuditEvent(models.Model):
    """One act, appended and never changed: the database refuses UPDATE, DELETE and TRUNCATE.

    `number`, `at`, `canonical`, `previous_hash` and `hash` are set by the trigger, whatever the writer sent. `canonical` is
    the text that was hashed, kept so that anyone can check offline: hash = SHA-256(previous_hash, newline, canonical).
    """

    number = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    # Without a constraint in the database: the row outlives the person, the change and the machine.
    actor = models.ForeignKey("fleet.User", on_delete=DO_NOTHING, db_constraint=False, null=True, related_name="+")
    actor_name = models.CharField(max_length=150)
    action = models.CharField(max_length=64)
    subject = models.CharField(max_length=300)
    change = models.ForeignKey("fleet.Change", on_delete=DO_NOTHING, db_constraint=False, null=True, related_name="+")
    instance = models.ForeignKey(
        "fleet.Instance", on_delete=DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )
    account = models.ForeignKey("fleet.Account", on_delete=DO_NOTHING, db_constraint=False, null=True, related_name="+")
    request_id = models.CharField(max_length=64, blank=True)
    data = models.JSONField(default=dict)
    canonical = models.TextField(db_default="")
    previous_hash = models.CharField(max_length=64, db_default="")
    hash = models.CharField(max_length=64, db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["-at", "-number"], name="audit_by_time"),
            models.Index(
                fields=["change", "-at", "-number"], condition=Q(change__isnull=False), name="audit_by_change"
            ),
            models.Index(
                fields=["instance", "-at", "-number"], condition=Q(instance__isnull=False), name="audit_by_instance"
            ),
            models.Index(fields=["actor_name", "-at", "-number"], name="audit_by_actor"),
            models.Index(fields=["action", "-at", "-number"], name="audit_by_action"),
            models.Index(fields=["request_id"], condition=~Q(request_id=""), name="audit_by_request"),
        ]


class AuditHead(models.Model):
    """The one row that holds number and hash of the last event; whoever appends locks it."""

    number = models.BigIntegerField()
    hash = models.CharField(max_length=64)
