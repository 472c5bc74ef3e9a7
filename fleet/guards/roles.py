"""Which roles a person has for the machines of a change. Asked when somebody acts, and whenever a gate needs to know."""

from collections.abc import Collection, Iterable

from fleet.models import Change, Grant, Instance, Role, User

Scopes = set[tuple[int, str]]  # pairs of account id and environment


def scopes_of(change: Change) -> Scopes:
    """Return the pairs of account and environment in which a change has machines: one query."""
    touched = Instance.objects.filter(targets__change=change).values_list("account_id", "environment").distinct()
    return set(touched)


def roles_over(user: User, scopes: Scopes) -> frozenset[Role]:
    """Return the roles that `user` has for every one of these pairs of account and environment, in one query."""
    return roles_of_grants(Grant.objects.filter(user=user), scopes)


def roles_of_grants(grants: Iterable[Grant], scopes: Scopes) -> frozenset[Role]:
    """Return the roles that these grants give for every one of these pairs; none where there is no pair."""
    by_role: dict[str, list[Grant]] = {}
    for grant in grants:
        by_role.setdefault(grant.role, []).append(grant)
    return frozenset(Role(role) for role, granted in by_role.items() if _cover_all(granted, scopes))


def has_role_over(user: User, role: Role, scopes: Scopes) -> bool:
    """Say whether `user` has `role` for every pair of account and environment."""
    return role in roles_over(user, scopes)


def has_any_role_over(user: User, roles: Collection[Role], scopes: Scopes) -> bool:
    """Say whether `user` has one of `roles` for every pair; it need not be the same role for each."""
    return _cover_all(list(Grant.objects.filter(user=user, role__in=roles)), scopes)


def _cover_all(grants: Collection[Grant], scopes: Scopes) -> bool:
    return bool(scopes) and all(any(grant.covers(scope) for grant in grants) for scope in scopes)
