"""Who may do what to a change. The same answers make the buttons and decide every request."""

from dataclasses import dataclass
from datetime import datetime

from fleet.changes.refused import Refused
from fleet.models import Change, ChangeState, Grant, Instance, Role, User

FINAL = frozenset({ChangeState.FINISHED, ChangeState.REJECTED, ChangeState.CANCELLED, ChangeState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Act:
    """An act on a change: allowed, or why not. `shown` says whether a button belongs on this person's page at all."""

    allowed: bool
    why: str = ""
    shown: bool = True
    kind: str = "forbidden"


def roles_over(user: User, scopes: set[tuple[int, str]]) -> frozenset[Role]:
    """Return the roles that `user` has for every one of these pairs of account and environment, in one query."""
    held: dict[str, list[tuple[int | None, str]]] = {}
    for role, account, environment in Grant.objects.filter(user=user).values_list("role", "account_id", "environment"):
        held.setdefault(role, []).append((account, environment))

    def everywhere(grants: list[tuple[int | None, str]]) -> bool:
        return all(
            any(account in (None, wanted) and environment in ("", place) for account, environment in grants)
            for wanted, place in scopes
        )

    return frozenset(Role(role) for role, grants in held.items() if scopes and everywhere(grants))


def covers(user: User, role: Role, scopes: set[tuple[int, str]]) -> bool:
    """Say whether `user` has `role` for every pair of account and environment."""
    return role in roles_over(user, scopes)


def scopes_of(change: Change) -> set[tuple[int, str]]:
    """Return the pairs of account and environment that a change touches."""
    touched = Instance.objects.filter(targets__change=change).values_list("account_id", "environment").distinct()
    return set(touched)


def acts_for(change: Change, user: User, now: datetime) -> dict[str, Act]:
    """Return every act on this change, with whether `user` may do it now and, if not, the sentence that says why."""
    scopes = scopes_of(change)
    roles = roles_over(user, scopes)
    operator, approver = Role.OPERATOR in roles, Role.APPROVER in roles
    hand = change.author_id == user.pk or change.contributors.filter(user=user).exists()
    state = ChangeState(change.state)

    def act(role: bool, states: set[ChangeState], otherwise: str, lacking: str) -> Act:
        if not role:
            return Act(False, lacking, shown=False)
        return Act(True) if state in states else Act(False, otherwise, shown=False, kind="moved")

    no_operator = "This needs the role operator for all of its machines. Ask an administrator."
    edit = act(operator, {ChangeState.DRAFT}, f"It is {state.label.lower()}, no longer a draft.", no_operator)
    approve = act(
        approver,
        {ChangeState.IN_REVIEW},
        f"It is {state.label.lower()}, not in review.",
        "This needs the role approver for all of its machines. Ask an administrator.",
    )
    if hand:
        # Said before the role: whoever wrote it cannot approve it with any role.
        own = "You had a hand in this change; somebody who had none approves it."
        approve = Act(False, own, shown=approver and state is ChangeState.IN_REVIEW)
    start = act(operator, {ChangeState.APPROVED}, f"It is {state.label.lower()}, not approved.", no_operator)
    if start.allowed and change.approved_until and change.approved_until < now:
        start = Act(False, "The approval has expired. Copy the change and have it approved again.", kind="moved")
    author_or_operator = operator or change.author_id == user.pk
    return {
        "edit": edit,
        "submit": edit,
        "discard": edit,
        "approve": approve,
        "decide": approve,
        "withdraw": act(
            author_or_operator,
            {ChangeState.CHECKING, ChangeState.IN_REVIEW, ChangeState.APPROVED},
            f"It is {state.label.lower()}.",
            no_operator,
        ),
        "start": start,
        "pause": act(operator, {ChangeState.RUNNING}, f"It is {state.label.lower()}, not running.", no_operator),
        "resume": act(operator, {ChangeState.PAUSED}, f"It is {state.label.lower()}, not paused.", no_operator),
        "cancel": act(
            operator,
            {ChangeState.APPROVED, ChangeState.RUNNING, ChangeState.PAUSED, ChangeState.TRIPPED},
            f"It is {state.label.lower()}.",
            no_operator,
        ),
        "settle_held": act(
            operator,
            {ChangeState.RUNNING, ChangeState.PAUSED, ChangeState.TRIPPED},
            f"It is {state.label.lower()}.",
            no_operator,
        ),
        "comment": _comment(roles, state),
    }


def _comment(roles: frozenset[Role], state: ChangeState) -> Act:
    if not roles:
        return Act(False, "This needs a role for all of its machines. Ask an administrator.", shown=False)
    return Act(True) if state not in FINAL else Act(False, f"It is {state.label.lower()}.", shown=False, kind="moved")


def require(name: str, change: Change, user: User, now: datetime) -> None:
    """Raise Refused unless `user` may do `name` to `change` now."""
    act = acts_for(change, user, now)[name]
    if not act.allowed:
        raise Refused(act.why, kind=act.kind)
