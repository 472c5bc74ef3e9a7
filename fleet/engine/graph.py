"""The states of a replacement as one graph: what each of them makes true, for how long it may try, and where it leads.

The graph is checked when it is imported: a mistake in it stops the program before it touches a machine.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fleet.engine.batch import Batch
from fleet.engine.codes import INCONCLUSIVE
from fleet.engine.handlers import returning
from fleet.engine.handlers.after_the_line import restoring, starting, verifying
from fleet.engine.handlers.before_the_line import held_if_stopped_too_often, preparing, stopping
from fleet.engine.handlers.images import imaging
from fleet.engine.handlers.replacing import replacing
from fleet.engine.handlers.sending import next_minute_if_full
from fleet.engine.handlers.snapshots import snapshotting
from fleet.engine.results import Move, Result, State, end_and_start_again, ended, hold_for_person
from fleet.engine.route import BEFORE_THE_LINE, step_of
from fleet.engine.steps.handling import after, before
from fleet.guards.policy import Policy
from fleet.models import Outcome, Replacement
from fleet.models.replacements import ENDED

Handler = Callable[[Batch], dict[int, Result]]


@dataclass(frozen=True, slots=True)
class StateRule:
    """A state that the engine works on. `overdue` says what becomes of a row whose `deadline` has passed, `to` where it may lead.

    `closed_until`, asked with an account, a region and the present, returns until when no call can leave there, so that rows
    whose call was not sent need not be looked at; None where they need.
    """

    handler: Handler
    deadline: timedelta
    overdue: Callable[[Replacement], Move]
    to: frozenset[State]
    closed_until: Callable[[int, str, datetime], datetime | None] | None = None


def _before_the_line(
    handler: Handler, deadline: timedelta, overdue: Callable[[Replacement], Move], *to: State
) -> StateRule:
    """Return the rule of a state from which a machine can still go back to what it was, and to the queue."""

    def handle(batch: Batch) -> dict[int, Result]:
        back = [row for row in batch.rows if row.returning]
        onward = [row for row in batch.rows if not row.returning]
        results = returning.bring_back(replace(batch, rows=back)) if back else {}
        found = handler(replace(batch, rows=onward)) if onward else {}
        for row in onward:
            if row.pk in found:  # one that was overtaken drops out
                results[row.pk] = held_if_stopped_too_often(row, found[row.pk])
        return results

    def overdue_or_returning(row: Replacement) -> Move:
        return returning.overdue(row) if row.returning else overdue(row)

    ways_out = {State.QUEUED, State.STARTING, State.FAILED, State.CANCELLED, State.HELD}
    return StateRule(handle, deadline, overdue_or_returning, frozenset({*to, *ways_out}))


def _untouched(note: str, code: str = "") -> Callable[[Replacement], Move]:
    return lambda row: end_and_start_again(row, Outcome.FAILED_UNTOUCHED, note, code=code)


def _not_stopped(row: Replacement) -> Move:
    # It may still stop later; the next state waits for that and starts it again.
    note = "It did not stop in time. The old system is intact."
    return end_and_start_again(row, Outcome.FAILED_UNTOUCHED, note, code="IncorrectInstanceStatus")


def _not_started(row: Replacement) -> Move:
    if row.new_disk_id:
        return hold_for_person(
            row, f"The new disk is in place, and the machine did not start in 15 min. {row.note}", code=row.error_code
        )
    note = f"{row.note} The old system is intact, and the machine did not start again in 15 min."
    return hold_for_person(row, note, code=row.error_code)


def _not_verified(row: Replacement) -> Move:
    return ended(Outcome.FAILED_REPLACED, f"The new disk is in place. {row.note}")


def _no_verdict(row: Replacement) -> Move:
    return hold_for_person(row, f"Nobody said in time whether it is good. {row.note}", code=INCONCLUSIVE)


GRAPH: dict[State, StateRule] = {
    State.PREPARING: _before_the_line(
        preparing,
        timedelta(minutes=30),
        _untouched("It did not become ready in 30 min; its disk was not touched."),
        State.IMAGING,
        State.BEFORE,
        State.STOPPING,
        State.SNAPSHOTTING,
        State.REPLACING,
    ),
    State.IMAGING: _before_the_line(
        imaging,
        timedelta(hours=2),
        _untouched("The image was not ready in 2 h; the machine was not touched."),
        State.BEFORE,
        State.STOPPING,
        State.SNAPSHOTTING,
        State.REPLACING,
    ),
    State.BEFORE: _before_the_line(
        before,
        timedelta(minutes=10),
        _no_verdict,
        State.STOPPING,
        State.SNAPSHOTTING,
        State.REPLACING,
    ),
    State.STOPPING: _before_the_line(
        stopping,
        timedelta(minutes=10),
        _not_stopped,
        State.SNAPSHOTTING,
        State.REPLACING,
    ),
    State.SNAPSHOTTING: _before_the_line(
        snapshotting,
        timedelta(hours=6),
        _untouched("The snapshot was not ready in 6 h. The old system is intact."),
        State.STOPPING,
        State.REPLACING,
    ),
    State.REPLACING: replace(
        _before_the_line(
            replacing,
            timedelta(minutes=60),
            lambda row: hold_for_person(row, f"The replacement did not end in 60 min. {row.note}", code=row.error_code),
            State.STOPPING,
            State.RESTORING,
        ),
        closed_until=next_minute_if_full,
    ),
    State.RESTORING: StateRule(
        restoring,
        timedelta(minutes=15),
        lambda row: hold_for_person(
            row, f"Not everything could be put back in 15 min. {row.note}", code=row.error_code
        ),
        frozenset({State.STARTING, State.VERIFYING, State.HELD}),
    ),
    State.STARTING: StateRule(
        starting,
        timedelta(minutes=15),
        _not_started,
        frozenset({State.VERIFYING, State.FAILED, State.CANCELLED, State.HELD}),
    ),
    State.VERIFYING: StateRule(
        verifying,
        timedelta(minutes=10),
        _not_verified,
        frozenset({State.AFTER, State.DONE, State.FAILED, State.HELD}),
    ),
    State.AFTER: StateRule(
        after,
        timedelta(minutes=10),
        _no_verdict,
        frozenset({State.DONE, State.FAILED, State.HELD}),
    ),
}

BY_PERSONS = frozenset({State.QUEUED, State.HELD})
FINAL = frozenset(ENDED)


def check(graph: dict[State, StateRule]) -> None:
    """Raise ValueError unless every state is the engine's, a person's or final, and each can be reached and left."""
    if set(graph) | BY_PERSONS | FINAL != set(State) or set(graph) & (BY_PERSONS | FINAL):
        raise ValueError("Each state is automatic, a person's, or final; exactly one of these")
    reached, edge = {State.PREPARING}, {State.PREPARING}
    while edge:
        edge = {to for state in edge if state in graph for to in graph[state].to} - reached
        reached |= edge
    if missing := set(State) - reached:
        raise ValueError(f"Never reached: {sorted(missing)}")
    for state, rule in graph.items():
        if State.HELD not in rule.to or rule.deadline <= timedelta(0):
            raise ValueError(f"{state} needs a way to a person and a deadline")
        if (State.QUEUED in rule.to) != (state in BEFORE_THE_LINE):
            raise ValueError(f"{state} leads back to the queue if, and only if, it is before the line of no return")


def time_for(row: Replacement, state: State) -> timedelta:
    """Return how long this machine may be in a state of the graph: the state's own time and what the policy adds."""
    policy = Policy.of(row.change.policy)
    longer = timedelta(0)
    if state in (State.BEFORE, State.AFTER) and (step := step_of(row, state)):
        longer = timedelta(seconds=step.timeout)
    elif state is State.STOPPING:
        longer = timedelta(minutes=policy.force_stop_minutes)
    return GRAPH[state].deadline + longer


check(GRAPH)
