"""Who may do what to a change. The same answers make the buttons and decide every request."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef
from django.db.models.functions import JSONArray

from fleet.guards.roles import Scopes, roles_of_grants, scopes_of
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState, Contributor, Grant, Role, SeenMark, User
from fleet.models.changes import ENDED


@dataclass(frozen=True, slots=True)
class Act:
    """An act on a change: allowed, or why not. `shown` says whether a button belongs on this person's page at all."""

    allowed: bool
    why: str = ""
    shown: bool = True
    kind: str = "forbidden"


@dataclass(frozen=True, slots=True)
class Relation:
    """What a person is to a change: roles over all of its machines, whether they had a hand in it, which groups they marked."""

    roles: frozenset[Role]
    hand: bool
    author: bool
    seen: frozenset[str]

    @property
    def operator(self) -> bool:
        return Role.OPERATOR in self.roles

    @property
    def approver(self) -> bool:
        return Role.APPROVER in self.roles


def relation_of(change: Change, user: User, scopes: Scopes | None = None) -> Relation:
    """Return what `user` is to a change, in two queries; in one with the pairs of account and environment."""
    contributed = Contributor.objects.filter(change=change, user=OuterRef("pk"))
    grants = Grant.objects.filter(user=OuterRef("pk")).values(row=JSONArray("role", "account_id", "environment"))
    marks = SeenMark.objects.filter(change=change, revision=change.revision, reviewer=OuterRef("pk"))
    person = User.objects.filter(pk=user.pk).values_list(
        Exists(contributed), ArraySubquery(grants), ArraySubquery(marks.values("group_key"))
    )
    hand, held, seen = person.get()
    author = change.author_id == user.pk
    granted = [Grant(role=role, account_id=account, environment=environment) for role, account, environment in held]
    roles = roles_of_grants(granted, scopes_of(change) if scopes is None else scopes)
    return Relation(roles, hand or author, author, frozenset(seen))


def acts_for(change: Change, user: User, now: datetime) -> dict[str, Act]:
    """Return every act on this change, with whether `user` may do it now and, if not, the sentence that says why."""
    return acts_of(change, relation_of(change, user), now)


def acts_of(change: Change, standing: Relation, now: datetime) -> dict[str, Act]:
    """Return the same for a standing that was read already."""
    operator, approver, hand = standing.operator, standing.approver, standing.hand
    state = ChangeState(change.state)

    def act(role: bool, states: set[ChangeState], otherwise: str, lacking: str) -> Act:
        if not role:
            return Act(False, lacking, shown=False)
        return Act(True) if state in states else Act(False, otherwise, shown=False, kind="moved")

    no_operator = "This needs the role operator for all of its machines. Ask an administrator."
    edit = act(operator, {ChangeState.DRAFT}, f"It is {state.label.lower()}, no longer a draft.", no_operator)
    no_approver = "This needs the role approver for all of its machines. Ask an administrator."
    not_in_review = f"It is {state.label.lower()}, not in review."
    decide = act(approver, {ChangeState.IN_REVIEW}, not_in_review, no_approver)
    approve = act(approver, {state} if change.is_reviewable else set(), not_in_review, no_approver)
    if hand:
        # Said before the role: whoever wrote it cannot approve it with any role.
        own = "You had a hand in this change; somebody who had none approves it."
        approve = Act(False, own, shown=approver and change.is_reviewable)
        decide = Act(False, own, shown=approver and state is ChangeState.IN_REVIEW)
    start = act(operator, {ChangeState.APPROVED}, f"It is {state.label.lower()}, not approved.", no_operator)
    if start.allowed and change.approved_until and change.approved_until < now:
        start = Act(False, "The approval has expired. Copy the change and have it approved again.", kind="moved")
    author_or_operator = operator or standing.author
    ended = "It was ended by a person: nothing new begins."
    over = Act(False, ended, shown=False, kind="moved") if change.aborted_at and operator else None
    return {
        "edit": edit,
        "submit": edit,
        "discard": edit,
        "approve": approve,
        "mark": approve,
        "decide": decide,
        "remove": act(
            operator or approver,
            {ChangeState.IN_REVIEW, ChangeState.APPROVED},
            f"It is {state.label.lower()}: machines leave it while it is in review or approved.",
            "This needs the role operator or approver for all of its machines. Ask an administrator.",
        ),
        "withdraw": act(
            author_or_operator,
            {ChangeState.CHECKING, ChangeState.IN_REVIEW, ChangeState.APPROVED},
            f"It is {state.label.lower()}.",
            no_operator,
        ),
        "start": start,
        "schedule": start,
        "pause": over
        or act(operator, {ChangeState.RUNNING}, f"It is {state.label.lower()}, not running.", no_operator),
        "resume": over or act(operator, {ChangeState.PAUSED}, f"It is {state.label.lower()}, not paused.", no_operator),
        "cancel": over
        or act(
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
        "comment": _comment(standing.roles, state),
    }


def _comment(roles: frozenset[Role], state: ChangeState) -> Act:
    if not roles:
        return Act(False, "This needs a role for all of its machines. Ask an administrator.", shown=False)
    return Act(True) if state not in ENDED else Act(False, f"It is {state.label.lower()}.", shown=False, kind="moved")


def require(name: str, change: Change, user: User, now: datetime) -> None:
    """Raise Refused unless `user` may do `name` to `change` now."""
    act = acts_for(change, user, now)[name]
    if not act.allowed:
        raise Refused(act.why, kind=act.kind)
