"""What waits for a person: changes to review, approved changes of theirs to start, machines held for a decision."""

from datetime import datetime

from django.db.models import BooleanField, Count, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet

from fleet.models import (
    Approval,
    Change,
    ChangeState,
    Contributor,
    Decision,
    Look,
    Replacement,
    ReplacementState,
    Role,
    User,
)
from fleet.models.changes import ENDED, REVIEWABLE
from fleet.web.shared.scope import covered, wholly_covered


def to_review(user: User) -> QuerySet[Change]:
    """Return the changes that wait for this person's decision.

    They are in review, or have stopped and need a fresh approval for the machines that are left. The person is an approver
    of all the machines, has not worked on the change, and has not approved it yet.
    """
    contributed = Contributor.objects.filter(change=OuterRef("pk"), user=user.pk)
    given = Approval.objects.filter(
        change=OuterRef("pk"),
        reviewer=user.pk,
        decision=Decision.APPROVE,
        revision=OuterRef("revision"),
        round=OuterRef("round"),
        voided_at=None,
    )
    open_to = Change.objects.filter(
        REVIEWABLE, wholly_covered(user, Role.APPROVER), ~Exists(contributed), ~Exists(given)
    )
    return open_to.exclude(author=user.pk)


def to_start(user: User) -> QuerySet[Change]:
    """Return the person's own approved changes that nobody has started."""
    return Change.objects.filter(state=ChangeState.APPROVED, author=user.pk)


def to_decide(user: User) -> QuerySet[Change]:
    """Return the changes that hold a machine which the person may operate."""
    held_machines = Replacement.objects.filter(
        covered(user, Role.OPERATOR, prefix="instance__"), change=OuterRef("pk"), state=ReplacementState.HELD
    )
    return Change.objects.filter(Exists(held_machines))


def waiting(user: User) -> QuerySet[Change]:
    """Return all changes that wait for the person."""
    own = Q(pk__in=to_review(user).values("pk")) | Q(pk__in=to_start(user).values("pk"))
    return Change.objects.filter(own | Q(pk__in=to_decide(user).values("pk")))


def approved_by(user: User, now: datetime) -> QuerySet[Approval]:
    """Return the person's approvals of changes that have not ended, the newest first, with `holds`: whether each counts."""
    present = {name: F(f"change__{name}") for name in ("revision", "round", "spec_digest")}
    holds = Q(voided_at=None, expires_at__gt=now, **present)
    given = Approval.objects.filter(reviewer=user.pk, decision=Decision.APPROVE).exclude(change__state__in=ENDED)
    given = given.annotate(holds=ExpressionWrapper(holds, output_field=BooleanField()))
    return given.select_related("change__author").defer("leaves").order_by("-at", "-pk")


def moved_since(user: User) -> QuerySet[Look]:
    """Return the person's last looks at open changes that have another revision or new comments since.

    Each has `comments_now`, how many comments there are now.
    """
    looks = Look.objects.filter(person=user.pk).exclude(change__state__in=ENDED).select_related("change__author")
    looks = looks.defer("leaves", "spec").annotate(comments_now=Count("change__comments"))
    return looks.filter(~Q(revision=F("change__revision")) | Q(comments_now__gt=F("comments"))).order_by("-at", "-pk")
