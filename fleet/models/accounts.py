"""Cloud accounts, and how far the mirror of each of their regions is."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from fleet.lib.net import is_loopback


class Account(models.Model):
    """An Alibaba Cloud account. It starts in observe: `executes` is off until one person asks and another switches it on."""

    name = models.CharField(max_length=64, unique=True)
    edition = models.CharField(max_length=8, default="2026", choices=[("2018", "2018"), ("2026", "2026")])
    endpoint = models.CharField(max_length=200, blank=True, help_text="host:port of the API; empty: the public one")
    regions = ArrayField(models.CharField(max_length=64))
    credential = models.ForeignKey("fleet.SealedSecret", on_delete=models.PROTECT, null=True)
    executes = models.BooleanField(default=False)
    guard_lifted = models.BooleanField(
        default=False, help_text="Also machines without the tag fleet-os=allowed may be changed"
    )
    replace_quota = models.PositiveIntegerField(
        default=180, help_text="ReplaceSystemDisk calls a minute and region that we allow ourselves; the API allows 200"
    )
    execution_asked_by = models.ForeignKey("fleet.User", on_delete=models.PROTECT, null=True, related_name="+")
    execution_asked_at = models.DateTimeField(null=True)
    execution_on_by = models.ForeignKey("fleet.User", on_delete=models.PROTECT, null=True, related_name="+")
    execution_on_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(execution_asked_by=F("execution_on_by")), name="execution_four_eyes")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_emulated(self) -> bool:
        """Whether its endpoint is on this machine: the emulator's is, and the provider's never."""
        return is_loopback(self.endpoint)


class RegionMirror(models.Model):
    """How fresh the mirror of one region is, and where a sync that was begun goes on.

    With `stage` and `cursor` a sync can be resumed; `lease` and `due_at` make sure that there are never two at once.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="mirrors")
    region = models.CharField(max_length=64)
    stage = models.CharField(max_length=32, blank=True)
    cursor = models.CharField(max_length=500, blank=True)
    started_at = models.DateTimeField(null=True)
    synced_at = models.DateTimeField(null=True)
    instances = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=500, blank=True, help_text="Why the last sync did not end, in words")
    due_at = models.DateTimeField(null=True)
    lease = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "region"], name="mirror_once")]
