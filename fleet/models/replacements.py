"""The replacement of one machine's system disk: the row is the job, and its state says what the engine makes true next."""

from datetime import timedelta

from django.db import models
from django.db.models import Q


class ReplacementState(models.TextChoices):
    """Where the work on a machine is. Beside each state stands what is true of the machine in it."""

    # It has not begun, or was called back and is as it was before: nothing was asked of it, and it waits for its turn.
    QUEUED = "queued", "Queued"
    # It is compared with what was approved, and what its disk carries is recorded; nothing was asked of it yet.
    PREPARING = "preparing", "Preparing"
    # It runs on, untouched, while an image is made from the snapshot that is to be put back on it.
    IMAGING = "imaging", "Making the image"
    # It runs on while the policy's step before the replacement is asked for its verdict.
    BEFORE = "before", "Before step"
    # It is being stopped; its old disk is in place.
    STOPPING = "stopping", "Stopping"
    # It is stopped with its old disk, of which a snapshot is being taken.
    SNAPSHOTTING = "snapshotting", "Taking a snapshot"
    # It is stopped and ready for the call. Once `first_sent_at` is set, its old disk may be gone.
    REPLACING = "replacing", "Replacing"
    # Its new disk is in use; what the old one carried (tags, snapshot policy, key pair) is being put back.
    RESTORING = "restoring", "Restoring"
    # It is being started: with its new disk, or with the old one where it ends untouched.
    STARTING = "starting", "Starting"
    # It has its new disk and its former power state; that the disk is the approved one is being verified.
    VERIFYING = "verifying", "Verifying"
    # It is verified, and the policy's step after the replacement is asked whether it serves.
    AFTER = "after", "After step"
    # Final: it has the approved new disk, and serves where the policy asked for that.
    DONE = "done", "Done"
    # A person decides. The engine leaves it as it stands; `held_from` is where it came from, `note` what is known.
    HELD = "held", "Held"
    # Final: `outcome` says whether its old system is intact, its new disk is in place, or neither is certain.
    FAILED = "failed", "Failed"
    # Final: it keeps its old system, since it had drifted, was skipped, or the change was ended before anything was sent.
    CANCELLED = "cancelled", "Cancelled"


class Outcome(models.TextChoices):
    """How the work on a machine ended, or will end once it runs again."""

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
        return self in (Outcome.SUCCEEDED, Outcome.ADOPTED)


FAILURES = frozenset({Outcome.FAILED_UNTOUCHED, Outcome.FAILED_REPLACED, Outcome.FAILED_DISKLESS, Outcome.UNKNOWN})

# The states that the engine works on, in the order in which a machine passes them.
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

    The engine looks at the row when it is due; `due_at` None means never. Every claim adds 1 to `lease`, and a result is
    written only under the lease of its claim, so that a worker that was overtaken changes nothing. `claims` counts the claims
    since the last result. `token` is the ClientToken, made once from id and `epoch`, and `first_sent_at` the committed intent:
    both are on disk before ReplaceSystemDisk leaves. `deadline_at` ends the present state. `epoch` rises only by a retry that
    two persons agreed on. `image_id` is what the call names for this machine. `returning` says that it was called back: it gets
    its former power state again, and goes to the queue or, with an `outcome`, ends.
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
    late = timedelta()  # no column: how long after `due_at` it was claimed; set by the claim

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
    """A person's request to replace a held machine once more, with a new token. It counts when another person agreed."""

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
    """How long a state usually takes in an account, as learnt from its machines: for when to look again, and for forecasts.

    `seconds` is a moving mean, `longest` the longest of late, `seen` from how many machines it was learnt.
    """

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=16)
    seconds = models.FloatField()
    longest = models.FloatField()
    seen = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "state"], name="timing_once")]


class Transition(models.Model):
    """One move of a replacement from state to state, in its history. Written by `fleet.engine.moves` alone, with the move."""

    replacement = models.ForeignKey(Replacement, on_delete=models.CASCADE, related_name="transitions")
    at = models.DateTimeField()
    from_state = models.CharField(max_length=16)
    to_state = models.CharField(max_length=16)
    note = models.CharField(max_length=500, blank=True)
    lease = models.PositiveBigIntegerField()


class CallWindow(models.Model):
    """How many calls of one action all workers together made in one minute, which is how the provider counts them."""

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, related_name="+")
    region = models.CharField(max_length=64)
    action = models.CharField(max_length=64)
    minute = models.DateTimeField()
    used = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "region", "action", "minute"], name="call_window_once")
        ]
