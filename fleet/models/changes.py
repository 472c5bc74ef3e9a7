"""A change: what it does, to which machines, who contributed to it, and where it is in its life."""

from django.db import models
from django.db.models import Q

from fleet.models.people import User


class ChangeState(models.TextChoices):
    """Where a change is in its life. From checking on its machines are in no other change, until it or they have ended."""

    DRAFT = "draft", "Draft"  # operators edit it; no machine is bound to it yet
    CHECKING = "checking", "Checking"  # submitted: the worker reads every machine afresh, and nobody edits it
    IN_REVIEW = "in_review", "In review"  # its plan and its machines are fixed, and reviewers are asked to approve them
    APPROVED = "approved", "Approved"  # enough people agreed; an operator starts it, or the time that was planned does
    RUNNING = "running", "Running"  # started: machines begin one after another and are driven to their end
    PAUSED = "paused", "Paused"  # an operator stopped it: nothing new begins, and what was sent is driven to its end
    TRIPPED = (
        "tripped",
        "Stopped by itself",
    )  # an error budget is used up: nothing begins until the rest is approved afresh
    FINISHED = "finished", "Finished"  # it ran, and every machine has its outcome
    REJECTED = "rejected", "Rejected"  # a reviewer refused it for good
    CANCELLED = "cancelled", "Cancelled"  # a person ended it before it was started
    EXPIRED = "expired", "Expired"  # nobody started it before its approvals or its hours were over


# Started and not ended: the engine looks after these, whether or not new machines begin.
UNDER_WAY = frozenset({ChangeState.RUNNING, ChangeState.PAUSED, ChangeState.TRIPPED})
# Nothing happens to these any more.
ENDED = frozenset({ChangeState.FINISHED, ChangeState.REJECTED, ChangeState.CANCELLED, ChangeState.EXPIRED})
OPEN = frozenset(ChangeState) - ENDED
# The rest of a change that stopped by itself waits for, or has, its fresh approval; `Change.rest_asked` says it of one.
# A change whose rest was let go on has an open wave: if it stops once more, nobody has asked about that stop yet.
REST_ASKED = Q(state=ChangeState.TRIPPED, round__gt=1, wave_opened_at=None)
# Approvals are asked for, of the whole or of the rest; `Change.is_reviewable` says it of one.
REVIEWABLE = Q(state=ChangeState.IN_REVIEW) | REST_ASKED


class Login(models.TextChoices):
    KEY_PAIR = "key_pair", "Key pair"
    PASSWORD = "password", "Password"
    IMAGE = "image", "As in the image"


class ChangeQuerySet(models.QuerySet["Change"]):
    def under_way(self) -> "ChangeQuerySet":
        """Narrow to the changes that were started and have not ended, as `Change.is_under_way` says of one."""
        return self.filter(state__in=UNDER_WAY)


class Change(models.Model):
    """One change of the operating system of a frozen list of machines. Its id is its number.

    `image_id` is the image as chosen, `images` its equal in every place of the machines: `account/region` to a pair of image
    id and how it was found (same, copied, chosen). `disk_size` is GiB; None asks for the provider's default, and never less
    than the present disk. `snapshot_days` None takes no snapshot. `policy` is `fleet.guards.policy.Policy` as JSON.
    `calendar` (closed by default), `not_before` and `not_after` say when it may run. `spec_digest` is SHA-256 over the
    canonical JSON of all of these. `due_at`, `lease` and `claims` belong to the worker while the change is being checked.

    `round` rises when a fresh approval is asked for the rest of a change that stopped by itself; what had failed until then is
    in `failures_forgiven` and no longer counts. `wave` is the wave that is open (0 the canary), and `hold_until` or
    `holds_for_person` what the next one waits for.
    """

    title = models.CharField(max_length=120, blank=True)
    reason = models.TextField(max_length=4000, blank=True)
    ticket = models.URLField(max_length=500, blank=True)
    rollback_plan = models.TextField(max_length=4000, blank=True)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="changes")
    state = models.CharField(max_length=16, choices=ChangeState.choices, default=ChangeState.DRAFT)
    revision = models.PositiveIntegerField(default=1)

    image_id = models.CharField(max_length=128, blank=True)
    images = models.JSONField(default=dict)
    disk_size = models.PositiveIntegerField(null=True)
    login = models.CharField(max_length=16, choices=Login.choices, default=Login.KEY_PAIR)
    key_pair = models.CharField(max_length=128, blank=True)
    secret = models.ForeignKey("fleet.SealedSecret", on_delete=models.PROTECT, null=True)
    security_enhancement = models.BooleanField(default=False)
    snapshot_days = models.PositiveSmallIntegerField(null=True)
    policy = models.JSONField(default=dict)
    calendar = models.ForeignKey("fleet.Calendar", on_delete=models.PROTECT, null=True, related_name="changes")
    not_before = models.DateTimeField(null=True)
    not_after = models.DateTimeField(null=True)
    spec_digest = models.CharField(max_length=64, blank=True)
    copied_from = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="copies")
    undoes = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="undone_by")

    created_at = models.DateTimeField()
    edited_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    check_note = models.TextField(blank=True, help_text="What the last check said, where it did not pass")
    checked = models.PositiveIntegerField(default=0, help_text="Machines read by the check under way")
    approvals_needed = models.PositiveSmallIntegerField(default=1)
    quorum_reasons = models.JSONField(default=list, help_text="Names of the rules that ask for more than one approval")
    round = models.PositiveSmallIntegerField(default=1)
    approved_until = models.DateTimeField(null=True)
    start_at = models.DateTimeField(null=True, help_text="When it starts by itself, where somebody scheduled that")
    scheduled_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    started_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    finished_at = models.DateTimeField(null=True)
    aborted_at = models.DateTimeField(null=True, help_text="Ended by a person: what was not sent by then never is")

    wave = models.PositiveIntegerField(default=0)
    wave_opened_at = models.DateTimeField(null=True)
    hold_until = models.DateTimeField(null=True)
    holds_for_person = models.BooleanField(default=False)
    waits_for = models.CharField(max_length=300, blank=True, help_text="Why nothing new begins just now, in words")
    failures_forgiven = models.PositiveIntegerField(default=0)
    skips_forgiven = models.PositiveIntegerField(default=0)

    due_at = models.DateTimeField(null=True)
    lease = models.PositiveBigIntegerField(default=0)
    claims = models.PositiveIntegerField(default=0)

    objects = ChangeQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(state__in=ChangeState.values), name="change_state_known")]
        indexes = [
            models.Index(fields=["state", "id"], name="change_by_state"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="change_due"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.title}".strip()

    @property
    def is_under_way(self) -> bool:
        """Say whether it was started and has not ended: it runs, is paused, or stopped by itself."""
        return self.state in UNDER_WAY

    @property
    def rest_asked(self) -> bool:
        """Say whether it stopped by itself, and its rest waits for, or has, its fresh approval (`REST_ASKED` in queries)."""
        return self.state == ChangeState.TRIPPED and self.round > 1 and self.wave_opened_at is None

    @property
    def is_reviewable(self) -> bool:
        """Say whether approvals are asked for: in review, or for the rest once it was asked for (`REVIEWABLE` in queries)."""
        return self.state == ChangeState.IN_REVIEW or self.rest_asked


class Contributor(models.Model):
    """A person who contributed to a revision: the author and every editor. None of them may approve it."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="contributors")
    revision = models.PositiveIntegerField()
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "revision", "user"], name="contributor_once")]


class Target(models.Model):
    """A machine of a change, frozen by id.

    `seen` is what the check read (disk id, image, size, category, key pair, snapshot policy, disk tags, power state), and
    `leaf_digest` the SHA-256 over its canonical JSON: an approval is for *these disks*. `open` is true from submit until
    this machine's outcome or the end of the change; a machine is in one open change at a time. `snapshot_id` names what is
    put back on this machine where the change undoes another one.
    """

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="targets")
    instance = models.ForeignKey("fleet.Instance", on_delete=models.PROTECT, related_name="targets")
    position = models.PositiveIntegerField()
    why = models.CharField(max_length=200, default="ticked by hand")
    seen = models.JSONField(default=dict)
    leaf_digest = models.CharField(max_length=64, blank=True)
    findings = models.JSONField(default=list, help_text="What the check found: pairs of code and severity")
    open = models.BooleanField(default=False)
    snapshot_id = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["change", "instance"], name="target_once"),
            models.UniqueConstraint(fields=["instance"], condition=Q(open=True), name="instance_in_one_open_change"),
        ]
        indexes = [models.Index(fields=["change", "position"], name="target_in_order")]


class LeftOut(models.Model):
    """A machine that was meant and is not part of the change, and why. `named` is what was typed where no machine fits it."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="left_out")
    instance = models.ForeignKey("fleet.Instance", on_delete=models.PROTECT, null=True, related_name="+")
    named = models.CharField(max_length=200, blank=True)
    code = models.CharField(max_length=64)
    reason = models.CharField(max_length=400)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "instance"], name="left_out_once")]
