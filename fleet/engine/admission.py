"""How many may be in flight, and when a change stops or ends. Correct if called from anywhere, any number of times.

The caller holds the lock on the change row.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from fleet.audit.trail import record
from fleet.engine.graph import FINAL, GRAPH
from fleet.engine.passwords import destroy_password
from fleet.engine.results import State
from fleet.models import Change, ChangeState, Outcome, Replacement, Transition

FAILED = frozenset({Outcome.FAILED_UNTOUCHED, Outcome.FAILED_REPLACED, Outcome.FAILED_DISKLESS, Outcome.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Counts:
    """Machines of a change. A held one counts as failed and as in flight until a person has settled it."""

    queued: int
    in_flight: int
    held: int
    failed: int
    skipped: int
    cancelled: int
    done: int

    @property
    def total(self) -> int:
        return self.queued + self.in_flight + self.failed + self.skipped + self.cancelled + self.done - self.held

    @property
    def ended(self) -> int:
        return self.total - self.queued - self.in_flight


def counts(change: Change) -> Counts:
    """Count the machines of a change by what became of them, in one query."""
    by_state: Counter[str] = Counter()
    by_outcome: Counter[str] = Counter()
    for state, outcome in change.replacements.values_list("state", "outcome"):
        by_state[state] += 1
        if state in FINAL:
            by_outcome[outcome] += 1
    held = by_state[State.HELD]
    return Counts(
        queued=by_state[State.QUEUED],
        in_flight=sum(by_state[state] for state in GRAPH) + held,
        held=held,
        failed=sum(by_outcome[outcome] for outcome in FAILED) + held,
        skipped=by_outcome[Outcome.SKIPPED_DRIFT],
        cancelled=by_outcome[Outcome.CANCELLED],
        done=by_outcome[Outcome.SUCCEEDED] + by_outcome[Outcome.ADOPTED],
    )


def admit(change: Change, now: datetime) -> int:
    """Let as many queued machines begin as policy and failures allow; return how many. Trip the change past its failures."""
    now_counts = counts(change)
    policy: dict[str, Any] = change.policy
    if change.state == ChangeState.RUNNING and now_counts.failed > policy["failures_allowed"] and now_counts.queued:
        change.state = ChangeState.TRIPPED
        change.save(update_fields=["state"])
        record(
            action="change.tripped",
            subject=str(change),
            change=change,
            data={"failed": now_counts.failed, "allowed": policy["failures_allowed"], "not_started": now_counts.queued},
        )
    if change.state != ChangeState.RUNNING:
        return 0
    free = policy["max_in_flight"] - now_counts.in_flight
    if free <= 0 or not now_counts.queued:
        return 0
    rows = list(
        change.replacements.select_for_update(of=("self",), no_key=True)
        .filter(state=State.QUEUED)
        .order_by("target__position")[:free]
    )
    Replacement.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=State.PREPARING,
        entered_at=now,
        due_at=now,
        deadline_at=now + GRAPH[State.PREPARING].deadline,
        note="It is looked at.",
    )
    Transition.objects.bulk_create(
        Transition(replacement=row, at=now, from_state=State.QUEUED, to_state=State.PREPARING, lease=row.lease)
        for row in rows
    )
    return len(rows)


def close_if_ended(change: Change, now: datetime) -> bool:
    """Finish a change of which no machine is queued or in flight any more; destroy its password."""
    if change.replacements.exclude(state__in=FINAL).exists():
        return False
    result = counts(change)
    change.state, change.finished_at = ChangeState.FINISHED, now
    change.save(update_fields=["state", "finished_at"])
    change.targets.filter(open=True).update(open=False)
    destroy_password(change.secret, change=change, now=now)
    record(
        action="change.finished",
        subject=str(change),
        change=change,
        data={
            "done": result.done,
            "failed": result.failed,
            "skipped": result.skipped,
            "cancelled": result.cancelled,
        },
    )
    return True


@transaction.atomic
def attend(change_id: int, now: datetime) -> None:
    """Look after one change: let machines begin, stop it past its failures, finish it when all have ended."""
    change = Change.objects.select_for_update(of=("self",)).select_related("secret").filter(pk=change_id).first()
    if change is None or change.state not in (ChangeState.RUNNING, ChangeState.PAUSED, ChangeState.TRIPPED):
        return
    if not close_if_ended(change, now):
        admit(change, now)
