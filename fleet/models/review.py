"""What reviewers do: decisions over exactly one form of a change, comments, marks, and the rules of how many must agree."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from fleet.models.changes import Change
from fleet.models.people import User


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
    round = models.PositiveSmallIntegerField(default=1)
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
                fields=["change", "revision", "round", "reviewer"],
                condition=Q(decision="approve", voided_at=None),
                name="one_approval_a_person",
            ),
            models.CheckConstraint(condition=Q(decision__in=Decision.values), name="decision_known"),
        ]


class Comment(models.Model):
    """What somebody said: of the whole change, of a group of machines with one before and after, or of one machine."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="comments")
    revision = models.PositiveIntegerField()
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    group_key = models.CharField(max_length=16, blank=True)
    instance = models.ForeignKey("fleet.Instance", on_delete=models.PROTECT, null=True, related_name="+")
    text = models.TextField(max_length=4000)
    at = models.DateTimeField()


class SeenMark(models.Model):
    """A reviewer's mark that a group of machines was looked at, in this revision."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="seen_marks")
    revision = models.PositiveIntegerField()
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    group_key = models.CharField(max_length=16)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["change", "revision", "reviewer", "group_key"], name="seen_once")
        ]


class Look(models.Model):
    """What a person last saw of a change, so that the next look can say what moved since."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="looks")
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    revision = models.PositiveIntegerField()
    spec = models.JSONField(default=dict)
    leaves = ArrayField(models.CharField(max_length=64), default=list)
    comments = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "person"], name="last_look")]


class QuorumRule(models.Model):
    """How many approvals a change needs, where every condition that is set here fits it. Without a rule it is one."""

    name = models.CharField(max_length=120, unique=True)
    approvals = models.PositiveSmallIntegerField()
    machines_at_least = models.PositiveIntegerField(null=True, blank=True)
    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    environment = models.CharField(max_length=64, blank=True)
    os_family_change = models.BooleanField(default=False)
    without_snapshot = models.BooleanField(default=False)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(approvals__gte=1, approvals__lte=10), name="quorum_sane")]
