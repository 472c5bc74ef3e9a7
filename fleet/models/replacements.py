"""One machine's replacement: the row is the job, and its state says what the engine makes true next."""

from datetime import timedelta

from django.db import models
from django.db.models import Q


class ReplacementState(models.TextChoices):
    QUEUED = "queued", "Queued"
    PREPARING = "preparing", "Preparing"
    IMAGING = "imaging", "Making the image"
    BEFORE = "before", "Before step"
    STOPPING = "stopping", "Stopping"
    SNAPSHOTTING = "snapshotting", "Taking a snapshot"
    REPLACING = "replacing", "Replacing"
    RESTORING = "restoring", "Restoring"
    STARTING = "starting", "Starting"
    VERIFYING = "verifying", "Verifying"
    AFTER = "after", "After step"
    DONE = "done", "Done"
    HELD = "held", "Held"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Outcome(models.TextChoices):
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED_UNTOUCHED = "failed_untouched", "Failed, old system intact"
    FAILED_REPLACED = "failed_replaced", "Failed, new disk in place"
    FAILED_DISKLESS = "failed_diskless", "Failed, without a disk"
    ADOPTED = "adopted", "Adopted"
    UNKNOWN = "unknown", "Unknown"
    SKIPPED_DRIFT = "skipped_drift", "Skipped, drift"
    CANCELLED = "cancelled", "Cancelled"

    @property
    def is_failure(self) -> bool:
        """Say whether it counts as failed against the budgets of a change."""
        return self in FAILURES

    @property
    def is_success(self) -> bool:
        """Say whether the machine has the new disk that was approved, and serves where that was asked."""
        return self in SUCCESSES


SUCCESSES = frozenset({Outcome.SUCCEEDED, Outcome.ADOPTED})
FAILURES = frozenset({Outcome.FAILED_UNTOUCHED, Outcome.FAILED_REPLACED, Outcome.FAILED_DISKLESS, Outcome.UNKNOWN})

LIVE = (
    ReplacementState.PREPARING,
    ReplacementState.IMAGING,
    ReplacementState.BEFORE,
    ReplacementState.STOPPING,
    ReplacementState.SNAPSHOTTING,
    ReplacementState.REPLACING,
    ReplacementState.RESTORING,
    ReplacementState.STARTING,
    ReplacementState.VERIFYING,
    ReplacementState.AFTER,
)
ENDED = (ReplacementState.DONE, ReplacementState.FAILED, ReplacementState.CANCELLED)


class ReplacementQuerySet(models.QuerySet["Replacement"]):
    def failed(self) -> "ReplacementQuerySet":
        """Narrow to the replacements whose outcome is a failure, as `Outcome.is_failure` says of one."""
        return self.filter(outcome__in=FAILURES)


class Replacement(models.Model):
    """The work on one machine of a running change.

    `due_at` None means: not the engine's business. Every claim adds 1 to `lease`, and a settle is guarded by it: whoever was
    overtaken changes nothing. `claims` counts claims since the last settle. `token` is the ClientToken, made once from id
    and `epoch`, and `first_sent_at` the committed intent: both are on disk before ReplaceSystemDisk leaves. `deadline_at`
    ends the present state; only a person's approved retry raises `epoch`. `image_id` is what the call names for this machine.
    `returning`: it is brought back to the power state that it had, and to the queue, since the change was paused.
    """

    target = models.OneToOneField("fleet.Target", on_delete=models.PROTECT, related_name="replacement")
    change = models.ForeignKey("fleet.Change", on_delete=models.PROTECT, related_name="replacements")
    account = models.ForeignKey("fleet.Account", on_delete=models.PROTECT, related_name="+")
    instance = models.ForeignKey("fleet.Instance", on_delete=models.PROTECT, related_name="replacements")
    region = models.CharField(max_length=64)

    image_id = models.CharField(max_length=128, blank=True)
    wave = models.PositiveIntegerField(default=0)

    state = models.CharField(max_length=16, choices=ReplacementState.choices, default=ReplacementState.QUEUED)
    outcome = models.CharField(max_length=20, choices=Outcome.choices, blank=True)
    entered_at = models.DateTimeField()
    deadline_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    lease = models.PositiveBigIntegerField(default=0)
    leased_until = models.DateTimeField(null=True)
    claims = models.PositiveIntegerField(default=0)
    late = timedelta()  # no column: how long after `due_at` it was claimed, set by the claim

    epoch = models.PositiveIntegerField(default=1)
    token = models.CharField(max_length=64, blank=True)
    first_sent_at = models.DateTimeField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    new_disk_id = models.CharField(max_length=64, blank=True)
    was_running = models.BooleanField(null=True)
    returning = models.BooleanField(default=False)
    asked_at = models.DateTimeField(null=True, help_text="When it was last asked to stop or to start")
    forced = models.BooleanField(default=False, help_text="It was forced to stop, as the policy says")
    snapshot_id = models.CharField(max_length=64, blank=True, help_text="The snapshot of the old disk")
    step_id = models.CharField(max_length=64, blank=True, help_text="The run of the step before or after under way")
    step_asked_at = models.DateTimeField(null=True)
    carried = models.JSONField(
        default=dict, help_text="What the old disk carried: snapshot_policy, disk_tags, key_pair"
    )
    restored = models.JSONField(default=list, help_text="Which of these were put back")

    held_from = models.CharField(max_length=16, blank=True)
    error_code = models.CharField(max_length=128, blank=True)
    note = models.CharField(max_length=500, blank=True, help_text="What is known, in words")
    finished_at = models.DateTimeField(null=True)

    objects = ReplacementQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ReplacementState.values), name="replacement_state_known"),
            models.CheckConstraint(
                condition=Q(first_sent_at=None) | ~Q(token=""), name="nothing_is_sent_without_a_token"
            ),
            models.UniqueConstraint(fields=["token"], condition=~Q(token=""), name="token_once"),
        ]
        indexes = [
            models.Index(
                fields=["due_at", "account", "region", "state"],
                condition=Q(due_at__isnull=False),
                name="replacement_due",
            ),
            models.Index(fields=["change", "state"], name="replacement_by_change"),
        ]


class Retry(models.Model):
    """A person's wish to replace a held machine once more, with a new token. It counts when another person agreed."""

    replacement = models.ForeignKey(Replacement, on_delete=models.CASCADE, related_name="retries")
    epoch = models.PositiveIntegerField(help_text="The epoch that it opens")
    disk_id = models.CharField(max_length=64, help_text="The system disk that the wish is about, as it was seen")
    reason = models.CharField(max_length=400)
    asked_by = models.ForeignKey("fleet.User", on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    agreed_by = models.ForeignKey("fleet.User", on_delete=models.PROTECT, null=True, related_name="+")
    agreed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["replacement", "epoch"], name="retry_once_an_epoch"),
            models.CheckConstraint(condition=~Q(asked_by=models.F("agreed_by")), name="retry_four_eyes"),
        ]


class StepTiming(models.Model):
    """How long a state usually takes in an account: learnt from what was seen, for the pace of looking and for forecasts.

    `seconds` is a moving mean, `longest` the longest of late, `seen` how many machines it is learnt from.
    """

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=16)
    seconds = models.FloatField()
    longest = models.FloatField()
    seen = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "state"], name="timing_once")]


class Transition(models.Model):
    """One move of a replacement. Appended in the transaction of the move."""

    replacement = models.ForeignKey(Replacement, on_delete=models.CASCADE, related_name="transitions")
    at = models.DateTimeField()
    from_state = models.CharField(max_length=16)
    to_state = models.CharField(max_length=16)
    note = models.CharField(max_length=500, blank=True)
    lease = models.PositiveBigIntegerField()


class CallWindow(models.Model):
    """Calls of one action that all workers together made in one minute, as the provider counts them."""

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, related_name="+")
    region = models.CharField(max_length=64)
    action = models.CharField(max_length=64)
    minute = models.DateTimeField()
    used = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "region", "action", "minute"], name="call_window_once")
        ]
