"""What a person may see and do: their grants, as values and as conditions on rows."""

from django.db.models import Case, Exists, OuterRef, Q, Value, When

from fleet.models import Change, Grant, Instance, Role, Target, User
from fleet.models.changes import ChangeQuerySet
from fleet.models.inventory import MirroredQuerySet
from fleet.models.people import EVERYWHERE


def grants_of(user: User) -> list[Grant]:
    """Return the person's grants, read once for each request (one query)."""
    known: list[Grant] | None = getattr(user, "_grants", None)
    if known is None:
        known = list(Grant.objects.filter(user=user.pk))
        user._grants = known  # type: ignore[attr-defined]
    return known


def has_role(user: User, *roles: Role) -> bool:
    """Say whether the person has one of `roles`, anywhere."""
    return any(grant.role in roles for grant in grants_of(user))


def sees_everything(user: User) -> bool:
    """Say whether some grant of the person is bound to no account and no environment."""
    return any(grant.covers(EVERYWHERE) for grant in grants_of(user))


def covered(user: User, *roles: Role, prefix: str = "") -> Q:
    """Return the condition that an instance at `prefix` is covered by a grant of one of `roles` (none: of any role)."""
    condition = Q(pk__in=[])
    for grant in grants_of(user):
        if roles and grant.role not in roles:
            continue
        if grant.covers(EVERYWHERE):
            return Q()
        condition |= grant.covered(prefix)
    return condition


def visible_instances(user: User) -> MirroredQuerySet:
    """Return the machines that the mirror shows now and that some grant of the person covers."""
    present: MirroredQuerySet = Instance.objects.present()
    return present.filter(covered(user))


def visible_changes(user: User) -> ChangeQuerySet:
    """Return the changes that the person wrote or that name a machine they may see."""
    if sees_everything(user):
        return Change.objects.all()
    named = Target.objects.filter(covered(user, prefix="instance__"), change=OuterRef("pk"))
    return Change.objects.filter(Q(author=user) | Exists(named))


def whether_covered(user: User, *roles: Role) -> Case:
    """Return whether one of `roles` covers every machine of a change, as a column."""
    return Case(When(wholly_covered(user, *roles) & Q(pk__gt=0), then=Value(True)), default=Value(False))


def wholly_covered(user: User, *roles: Role) -> Q:
    """Return the condition that one of `roles` covers every machine of a change."""
    condition = covered(user, *roles, prefix="instance__")
    if condition == Q():
        return Q()
    if not has_role(user, *roles):
        return Q(pk__in=[])
    outside = Target.objects.filter(change=OuterRef("pk")).exclude(condition)
    return Q(~Exists(outside))
