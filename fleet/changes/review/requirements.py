"""What an approval needs, as one list: the same list decides on the server and is shown to the reviewer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.db.models import BooleanField, ExpressionWrapper

from fleet.changes.permissions import Act, Relation, acts_of, relation_of
from fleet.changes.review.groups import Grouped, grouped
from fleet.guards.approvals import is_valid
from fleet.guards.window import Window, late, window_of
from fleet.lib.refused import Refused
from fleet.lib.text import age, count, listed, moment_utc
from fleet.models import Approval, Change, ChangeState, User

# A check that is older says too little of the machines: the change is submitted again, and every machine read afresh.
FRESH = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition of an approval. A `must` that is not met keeps the button off; a `note` informs and prevents nothing."""

    code: str
    ok: bool
    words: str
    kind: Literal["must", "note"] = "must"


@dataclass(frozen=True, slots=True)
class Assessed:
    """What a review of a change comes to for one reviewer.

    `decisions` are all that were ever made, in order, `approvals` those of them that count; `seen` are the keys of the groups
    that the reviewer has marked.
    """

    acts: dict[str, Act]
    requirements: list[Requirement]
    decisions: list[Approval]
    approvals: list[Approval]
    window: Window
    seen: frozenset[str]

    @property
    def may_approve(self) -> bool:
        return may_approve(self.requirements)


def assess(change: Change, user: User, now: datetime, *, what: Grouped | None = None) -> Assessed:
    """Return what `user` may do, what an approval still needs, and when the change may run.

    At most eight queries, whatever the number of machines; two less with `what`, the groups that were read already.
    """
    what = what or grouped(change)
    relation = relation_of(change, user, {(place.account, place.environment) for place in what.places})
    acts = acts_of(change, relation, now)
    counts = ExpressionWrapper(is_valid(change, now), output_field=BooleanField())
    made = change.approvals.annotate(counts=counts).select_related("reviewer").defer("leaves").order_by("at", "pk")
    decisions = list(made)
    approvals = [decision for decision in decisions if decision.counts]
    window = window_of(change, now, places=what.places)
    found = [
        *_of_person(change, user, relation, approvals),
        *_of_form(change, what, relation, now),
        _approvals(change, approvals),
        *_of_time(window, now),
    ]
    return Assessed(acts, found, [*decisions], [*approvals], window, relation.seen)


def may_approve(found: Sequence[Requirement]) -> bool:
    return all(each.ok for each in found if each.kind == "must")


def require_met(found: Sequence[Requirement]) -> None:
    """Raise Refused with the first condition that must be met and is not."""
    kinds = {"contributed": "forbidden", "role": "forbidden", "seen": "wrong"}
    for each in found:
        if each.kind == "must" and not each.ok:
            field = "seen" if each.code == "seen" else ""
            raise Refused(each.words, kind=kinds.get(each.code, "moved"), field=field)


def _of_person(change: Change, user: User, relation: Relation, approvals: Sequence[Approval]) -> Iterator[Requirement]:
    state = ChangeState(change.state).label.lower()
    if change.is_reviewable:
        yield Requirement("state", True, f"It is {state}")
    else:
        yield Requirement("state", False, f"It is {state}, not in review.")
    if not relation.contributed:
        yield Requirement("contributed", True, "You had no hand in this change")
    elif relation.author:
        yield Requirement("contributed", False, "You wrote this change; somebody who had no hand in it approves it.")
    else:
        yield Requirement("contributed", False, "You had a hand in this change; somebody who had none approves it.")
    if relation.approver:
        yield Requirement("role", True, "You are an approver for all of its machines")
    else:
        yield Requirement("role", False, "This needs the role approver for all of its machines. Ask an administrator.")
    if any(approval.reviewer_id == user.pk for approval in approvals):
        missing = change.approvals_needed - len(approvals)
        waits = f" It waits for {count(missing, 'other person', 'other people')}." if missing > 0 else ""
        yield Requirement("already", False, f"You have approved this form already.{waits}")


def _of_form(change: Change, what: Grouped, relation: Relation, now: datetime) -> Iterator[Requirement]:
    wanted = [group.key for group in what.warning_groups]
    unseen = [key for key in wanted if key not in relation.seen]
    if not wanted:
        yield Requirement("seen", True, "No group has a warning to mark as seen")
    elif unseen:
        words = f"{count(len(unseen), 'group')} with warnings not marked as seen. Read each, then mark it."
        yield Requirement("seen", False, words)
    else:
        yield Requirement("seen", True, f"{count(len(wanted), 'group')} with warnings marked as seen")
    if change.checked_at is None:
        yield Requirement("fresh", False, "It was not checked. Take it back to draft and submit it again.")
        return
    old = now - change.checked_at
    words = f"Checked {age(old.total_seconds())} ago"
    if change.state == ChangeState.TRIPPED:
        # The rest of a change that ran already: its disks are read again before each replacement all the same.
        yield Requirement("fresh", old < FRESH, f"{words}; each disk is read again before it is replaced", "note")
    elif old < FRESH:
        yield Requirement("fresh", True, f"{words}: nothing is blocked")
    else:
        again = f"{words}, longer than 24 h. Take it back to draft and submit it again: every machine is read afresh."
        yield Requirement("fresh", False, again)


def _approvals(change: Change, approvals: Sequence[Approval]) -> Requirement:
    words = f"{len(approvals)} of {count(change.approvals_needed, 'approval')}"
    if change.quorum_reasons:
        words += f", as asked for by {listed(change.quorum_reasons)}"
    return Requirement("approvals", len(approvals) >= change.approvals_needed, words, "note")


def _of_time(window: Window, now: datetime) -> Iterator[Requirement]:
    hours = window.hours
    freezes = [each for each in hours.closed if each.freeze]
    others = [each for each in hours.closed if not each.freeze]
    if hours.ends_at is not None and hours.ends_at <= now:
        words = "Its hours are over and do not open again. Take it back to draft and choose others."
        yield Requirement("window", False, words)
    elif others:
        yield Requirement("window", False, others[0].words, "note")
    elif late(window, now):
        long = age(window.seconds)
        yield Requirement("window", False, f"The last start has passed: it takes about {long}", "note")
    elif hours.closes_at and hours.open:
        until = f"Open until {moment_utc(hours.closes_at, now)}"
        last = f"; last start {moment_utc(window.last_start, now)}" if window.last_start and not window.spans else ""
        spans = "; it is longer than its hours and goes on at the next opening" if window.spans else ""
        yield Requirement("window", not window.spans, until + last + spans, "note")
    else:
        yield Requirement("window", True, "It may start at any time", "note")
    if freezes:
        yield Requirement("freeze", False, freezes[0].words, "note")
    else:
        yield Requirement("freeze", True, "No freeze", "note")
    yield Requirement("kill", not window.stopped, window.stopped or "The kill switch is off", "note")
    if window.observing:
        words = f"The account {window.observing[0]} is in observe: nothing starts before execution is switched on."
        yield Requirement("execution", False, words, "note")
