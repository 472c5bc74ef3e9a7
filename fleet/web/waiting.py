"""What waits for a person: changes to review, approved changes of theirs to start, machines held for a decision."""

from django.db.models import Exists, OuterRef, Q, QuerySet

from fleet.models import Change, ChangeState, Contributor, Replacement, ReplacementState, Role, User
from fleet.web.scope import covered, wholly_covered


def to_review(user: User) -> QuerySet[Change]:
    """Return the changes in review that the person may approve: an approver of all its machines with no hand in it."""
    hand = Contributor.objects.filter(change=OuterRef("pk"), user=user.pk)
    return Change.objects.filter(
        wholly_covered(user, Role.APPROVER), ~Exists(hand), state=ChangeState.IN_REVIEW
    ).exclude(author=user.pk)


def to_start(user: User) -> QuerySet[Change]:
    """Return the person's own approved changes that nobody has started."""
    return Change.objects.filter(state=ChangeState.APPROVED, author=user.pk)


def to_decide(user: User) -> QuerySet[Change]:
    """Return the changes that hold a machine which the person may operate."""
    held = Replacement.objects.filter(
        covered(user, Role.OPERATOR, prefix="instance__"), change=OuterRef("pk"), state=ReplacementState.HELD
    )
    return Change.objects.filter(Exists(held))


def waiting_count(user: User) -> int:
    """Return how many changes wait for the person (one query beside their grants)."""
    waiting = Q(pk__in=to_review(user).values("pk")) | Q(pk__in=to_start(user).values("pk"))
    return Change.objects.filter(waiting | Q(pk__in=to_decide(user).values("pk"))).count()
