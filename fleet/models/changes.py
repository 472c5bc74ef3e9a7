"""A change: what is asked for, for which machines, who had a hand in it and who agreed."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from fleet.models.people import User


class ChangeState(models.TextChoices):
    DRAFT = "draft", "Draft"
    CHECKING = "checking", "Checking"
    IN_REVIEW = "in_review", "In review"
    APPROVED = "approved", "Approved"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    TRIPPED = "tripped", "Stopped by itself"
    FINISHED = "finished", "Finished"
    REJECTED = "rejected", "Rejected"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"


class Login(models.TextChoices):
    KEY_PAIR = "key_pair", "Key pair"
    PASSWORD = "password", "Password"
    IMAGE = "image", "As in the image"


class Change(models.Model):
    """One change of the operating system of a frozen list of machines. Its id is its number.

    `disk_size` is GiB; None asks for the provider's default, and never less than the present disk. `policy` holds
    `max_in_flight` and `failures_allowed`. `spec_digest` is SHA-256 over the canonical JSON of settings and policy.
    `due_at`, `lease` and `claims` belong to the worker while the change is being checked.
    """

    title = models.CharField(max_length=120, blank=True)
    reason = models.TextField(max_length=4000, blank=True)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="changes")
    state = models.CharField(max_length=16, choices=ChangeState.choices, default=ChangeState.DRAFT)
    revision = models.PositiveIntegerField(default=1)

    image_id = models.CharField(max_length=128, blank=True)
    disk_size = models.PositiveIntegerField(null=True)
    login = models.CharField(max_length=16, choices=Login.choices, default=Login.KEY_PAIR)
    key_pair = models.CharField(max_length=128, blank=True)
    secret = models.ForeignKey("fleet.SealedSecret", on_delete=models.PROTECT, null=True)
    security_enhancement = models.BooleanField(default=False)
    policy = models.JSONField(default=dict)
    spec_digest = models.CharField(max_length=64, blank=True)

    created_at = models.DateTimeField()
    edited_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    check_note = models.TextField(blank=True, help_text="What the last check said, where it did not pass")
    checked = models.PositiveIntegerField(default=0, help_text="Machines read by the check under way")
    approved_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    finished_at = models.DateTimeField(null=True)

    due_at = models.DateTimeField(null=True)
    lease = models.PositiveBigIntegerField(default=0)
    claims = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(state__in=ChangeState.values), name="change_state_known")]
        indexes = [
            models.Index(fields=["state", "id"], name="change_by_state"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="change_due"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.title}".strip()


class Contributor(models.Model):
    """A person who had a hand in a revision: the author and every editor. None of them may approve it."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="contributors")
    revision = models.PositiveIntegerField()
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "revision", "user"], name="contributor_once")]


class Target(models.Model):
    """A machine of a change, frozen by id.

    `seen` is what the check read (disk id, image, size, category, key pair, snapshot policy, disk tags, power state), and
    `leaf_digest` the SHA-256 over its canonical JSON: an approval is for *these disks*. `open` is true from submit until
    this machine's outcome or the end of the change; a machine is in one open change at a time.
    """

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="targets")
    instance = models.ForeignKey("fleet.Instance", on_delete=models.PROTECT, related_name="targets")
    position = models.PositiveIntegerField()
    why = models.CharField(max_length=200, default="ticked by hand")
    seen = models.JSONField(default=dict)
    leaf_digest = models.CharField(max_length=64, blank=True)
    findings = models.JSONField(default=list, help_text="What the check found: pairs of code and severity")
    open = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["change", "instance"], name="target_once"),
            models.UniqueConstraint(fields=["instance"], condition=Q(open=True), name="instance_in_one_open_change"),
        ]
        indexes = [models.Index(fields=["change", "position"], name="target_in_order")]


class LeftOut(models.Model):
    """A machine that was meant and is not part of the change, and why."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="left_out")
    instance = models.ForeignKey("fleet.Instance", on_delete=models.PROTECT, related_name="+")
    code = models.CharField(max_length=64)
    reason = models.CharField(max_length=400)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "instance"], name="left_out_once")]


class Decision(models.TextChoices):
    APPROVE = "approve", "approved"
    RETURN = "return", "asked for changes"
    REJECT = "reject", "rejected"


class Approval(models.Model):
    """A reviewer's decision over exactly one form of a change: its spec digest and the leaves of its machines.

    A trigger refuses an approval by a contributor, of another digest or state, whatever code asks; another refuses every
    edit but that of voiding.
    """

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="approvals")
    revision = models.PositiveIntegerField()
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="approvals")
    decision = models.CharField(max_length=8, choices=Decision.choices)
    spec_digest = models.CharField(max_length=64)
    leaves = ArrayField(models.CharField(max_length=64), default=list)
    reason = models.TextField(blank=True, max_length=4000)
    at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    voided_at = models.DateTimeField(null=True)
    void_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["change", "revision", "reviewer"],
                condition=Q(decision="approve", voided_at=None),
                name="one_approval_a_person",
            ),
            models.CheckConstraint(condition=Q(decision__in=Decision.values), name="decision_known"),
        ]


class Comment(models.Model):
    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="comments")
    revision = models.PositiveIntegerField()
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.TextField(max_length=4000)
    at = models.DateTimeField()
