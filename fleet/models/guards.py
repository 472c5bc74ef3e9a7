"""What stands between an approved change and a machine: calendars, the kill switch, locks."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q

from fleet.models.people import User


class Calendar(models.Model):
    """When machines may be changed. The entries of a calendar that is open by default are freezes, those of any other openings.

    A freeze holds for every machine in its scope (account, region, environment; empty means all). Openings hold for the changes
    that name the calendar and, where it is `required`, for every machine in its scope. Entries repeat in `time_zone`.
    """

    name = models.CharField(max_length=120, unique=True)
    open_by_default = models.BooleanField()
    required = models.BooleanField(default=False)
    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    region = models.CharField(max_length=64, blank=True)
    environment = models.CharField(max_length=64, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name


class CalendarEntry(models.Model):
    """A span of time in a calendar, once or repeated until `until`."""

    class Repeats(models.TextChoices):
        ONCE = "", "Once"
        DAILY = "daily", "Every day"
        WEEKLY = "weekly", "Every week"

    calendar = models.ForeignKey(Calendar, on_delete=models.CASCADE, related_name="entries")
    title = models.CharField(max_length=200)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    repeats = models.CharField(max_length=8, choices=Repeats.choices, blank=True, default="")
    until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="entry_ends_after_start")]


class KillSwitch(models.Model):
    """A press of the kill switch: nothing irreversible is sent in its scope until somebody lifts it."""

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    region = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=400)
    pressed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    pressed_at = models.DateTimeField()
    lifted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "region"],
                condition=Q(lifted_at=None),
                nulls_distinct=False,
                name="one_press_a_scope",
            )
        ]


def lock_in_force(now: datetime, prefix: str = "") -> Q:
    """Return the condition that the lock at `prefix` is in force, as `MachineLock.is_in_force` says of one."""
    lasts = Q(**{f"{prefix}expires_at": None}) | Q(**{f"{prefix}expires_at__gt": now})
    return Q(**{f"{prefix}released_at": None}) & lasts


class MachineLockQuerySet(models.QuerySet["MachineLock"]):
    def in_force(self, now: datetime) -> "MachineLockQuerySet":
        """Narrow to the locks that are neither released nor expired at `now`."""
        return self.filter(lock_in_force(now))


class MachineLock(models.Model):
    """A person's order not to touch a machine until `expires_at` (None: until it is released)."""

    instance = models.ForeignKey("fleet.Instance", on_delete=models.CASCADE, related_name="machine_locks")
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=400)
    at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    objects = MachineLockQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instance"], condition=Q(released_at=None), name="one_lock_a_machine")
        ]

    def is_in_force(self, now: datetime) -> bool:
        """Say whether it is neither released nor expired at `now`."""
        return self.released_at is None and (self.expires_at is None or self.expires_at > now)
