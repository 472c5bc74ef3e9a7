"""Who may do what to a change. The same answers make the buttons and decide every request."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef
from django.db.models.functions import JSONArray

from fleet.guards.roles import Scopes, roles_of_grants, scopes_of
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState, Contributor, Grant, Role, SeenMark, User
from fleet.models.changes import OPEN, UNDER_WAY

State = ChangeState


@dataclass(frozen=True, slots=True)
class Act:
    """An act on a change: allowed, or why not. `shown` says whether a button belongs on this person's page at all."""

    allowed: bool
    why: str = ""
    shown: bool = True
    kind: str = "forbidden"


@dataclass(frozen=True, slots=True)
class Relation:
    """What a person is to a change: author, contributor, their roles over all of its machines, the groups they marked as seen."""

    roles: frozenset[Role]
    contributed: bool
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
    has_contributed, rows, seen = person.get()
    author = change.author_id == user.pk
    granted = [Grant(role=role, account_id=account, environment=environment) for role, account, environment in rows]
    roles = roles_of_grants(granted, scopes_of(change) if scopes is None else scopes)
    return Relation(roles, has_contributed or author, author, frozenset(seen))


def _needs(role: str) -> str:
    return f"This needs {role} for all of its machines. Ask an administrator."


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do an act, and when.

    `lacking` is what is said to those who may not, `otherwise` to those who may where the change is in another state, {state}
    standing for that state. What `begins` something is over once a person ended the change. `others_only` keeps it from
    those who contributed to the change, and with `in_time` it ends with the approvals.
    """

    acts: tuple[str, ...]
    who: Callable[[Relation], bool]
    lacking: str
    when: Callable[[Change], bool]
    otherwise: str = "It is {state}."
    begins: bool = False
    others_only: bool = False
    in_time: bool = False


def _in(*states: str) -> Callable[[Change], bool]:
    return lambda change: change.state in states


def _operator(relation: Relation) -> bool:
    return relation.operator


def _approver(relation: Relation) -> bool:
    return relation.approver


NO_OPERATOR, NO_APPROVER = _needs("the role operator"), _needs("the role approver")
NOT_IN_REVIEW = "It is {state}, not in review."
RULES = (
    Rule(("edit", "submit", "discard"), _operator, NO_OPERATOR, _in(State.DRAFT), "It is {state}, no longer a draft."),
    Rule(
        ("approve", "mark"),
        _approver,
        NO_APPROVER,
        lambda change: change.is_reviewable,
        NOT_IN_REVIEW,
        others_only=True,
    ),
    Rule(("decide",), _approver, NO_APPROVER, _in(State.IN_REVIEW), NOT_IN_REVIEW, others_only=True),
    Rule(
        ("remove",),
        lambda relation: relation.operator or relation.approver,
        _needs("the role operator or approver"),
        _in(State.IN_REVIEW, State.APPROVED),
        "It is {state}: machines leave it while it is in review or approved.",
    ),
    Rule(
        ("withdraw",),
        lambda relation: relation.operator or relation.author,
        NO_OPERATOR,
        _in(State.CHECKING, State.IN_REVIEW, State.APPROVED),
    ),
    Rule(
        ("start", "schedule"), _operator, NO_OPERATOR, _in(State.APPROVED), "It is {state}, not approved.", in_time=True
    ),
    Rule(("pause",), _operator, NO_OPERATOR, _in(State.RUNNING), "It is {state}, not running.", begins=True),
    Rule(("resume",), _operator, NO_OPERATOR, _in(State.PAUSED), "It is {state}, not paused.", begins=True),
    Rule(("cancel",), _operator, NO_OPERATOR, _in(State.APPROVED, *UNDER_WAY), begins=True),
    Rule(("act_on_held",), _operator, NO_OPERATOR, _in(*UNDER_WAY)),
    Rule(("agree_retry",), _approver, NO_APPROVER, _in(*State)),
    Rule(("comment",), lambda relation: bool(relation.roles), _needs("a role"), _in(*OPEN)),
)


def acts_for(change: Change, user: User, now: datetime) -> dict[str, Act]:
    """Return every act on this change, with whether `user` may do it now and, if not, the sentence that says why."""
    return acts_of(change, relation_of(change, user), now)


def acts_of(change: Change, relation: Relation, now: datetime) -> dict[str, Act]:
    """Return the same for a relation that was read already."""
    acts: dict[str, Act] = {}
    for rule in RULES:
        acts |= dict.fromkeys(rule.acts, _ruled(rule, change, relation, now))
    return acts


def _ruled(rule: Rule, change: Change, relation: Relation, now: datetime) -> Act:
    permitted, due = rule.who(relation), rule.when(change)
    if rule.others_only and relation.contributed:
        # Said before the role: whoever wrote it cannot approve it with any role.
        return Act(False, "You had a hand in this change; somebody who had none approves it.", shown=permitted and due)
    if not permitted:
        return Act(False, rule.lacking, shown=False)
    if rule.begins and change.aborted_at:
        return Act(False, "It was ended by a person: nothing new begins.", shown=False, kind="moved")
    if not due:
        state = State(change.state).label.lower()
        return Act(False, rule.otherwise.format(state=state), shown=False, kind="moved")
    if rule.in_time and change.approved_until and change.approved_until < now:
        return Act(False, "The approval has expired. Copy the change and have it approved again.", kind="moved")
    return Act(True)


def require(name: str, change: Change, user: User, now: datetime) -> None:
    """Raise Refused unless `user` may do `name` to `change` now."""
    act = acts_for(change, user, now)[name]
    if not act.allowed:
        raise Refused(act.why, kind=act.kind)
