"""The graph of a replacement: what each automatic state makes true, for how long it may try, and where it may go.

Checked when it is imported: a mistake here stops the program before it touches a machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from fleet.engine.batch import Batch
from fleet.engine.handlers_after import restoring, starting, verifying
from fleet.engine.handlers_before import preparing, stopping
from fleet.engine.handlers_replacing import replacing
from fleet.engine.results import Move, Result, State, ended, held
from fleet.models import Outcome, Replacement

Handler = Callable[[Batch], dict[int, Result]]


@dataclass(frozen=True, slots=True)
class Step:
    """An automatic state. `overdue` says what becomes of a row whose `deadline` has passed."""

    handler: Handler
    deadline: timedelta
    overdue: Callable[[Replacement], Move]
    to: frozenset[State]


def _untouched(note: str, code: str = "") -> Callable[[Replacement], Move]:
    return lambda row: ended(Outcome.FAILED_UNTOUCHED, note, code=code)


def _not_started(row: Replacement) -> Move:
    if row.new_disk_id:
        return held(
            row, f"The new disk is in place, and the machine did not start in 15 min. {row.note}", code=row.error_code
        )
    note = f"{row.note} The old system is intact, and the machine did not start again in 15 min."
    return ended(Outcome(row.outcome), note, code=row.error_code)


def _not_verified(row: Replacement) -> Move:
    return ended(Outcome.FAILED_REPLACED, f"The new disk is in place. {row.note}")


GRAPH: dict[State, Step] = {
    State.PREPARING: Step(
        preparing,
        timedelta(minutes=30),
        _untouched("It did not become ready in 30 min; we did not touch it."),
        frozenset({State.STOPPING, State.REPLACING, State.FAILED, State.CANCELLED, State.HELD}),
    ),
    State.STOPPING: Step(
        stopping,
        timedelta(minutes=10),
        _untouched("Did not stop in 10 min. The old system is intact.", "IncorrectInstanceStatus"),
        frozenset({State.REPLACING, State.STARTING, State.FAILED, State.CANCELLED, State.HELD}),
    ),
    State.REPLACING: Step(
        replacing,
        timedelta(minutes=60),
        lambda row: held(row, f"The replacement did not end in 60 min. {row.note}", code=row.error_code),
        frozenset({State.RESTORING, State.STOPPING, State.STARTING, State.FAILED, State.CANCELLED, State.HELD}),
    ),
    State.RESTORING: Step(
        restoring,
        timedelta(minutes=15),
        lambda row: held(row, f"Not everything could be put back in 15 min. {row.note}", code=row.error_code),
        frozenset({State.STARTING, State.VERIFYING, State.HELD}),
    ),
    State.STARTING: Step(
        starting,
        timedelta(minutes=15),
        _not_started,
        frozenset({State.VERIFYING, State.FAILED, State.CANCELLED, State.HELD}),
    ),
    State.VERIFYING: Step(
        verifying,
        timedelta(minutes=10),
        _not_verified,
        frozenset({State.DONE, State.FAILED, State.HELD}),
    ),
}

TO_COME = frozenset({State.IMAGING, State.BEFORE, State.SNAPSHOTTING, State.AFTER})
BY_PERSONS = frozenset({State.QUEUED, State.HELD}) | TO_COME
FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED})


def check(graph: dict[State, Step]) -> None:
    """Raise ValueError unless every state is automatic, a person's or final, and every one can be reached and left."""
    if set(graph) | BY_PERSONS | FINAL != set(State) or set(graph) & (BY_PERSONS | FINAL):
        raise ValueError("Each state is automatic, a person's, or final; exactly one of these")
    reached, edge = {State.PREPARING}, {State.PREPARING}
    while edge:
        edge = {to for state in edge if state in graph for to in graph[state].to} - reached
        reached |= edge
    if missing := set(State) - reached - {State.QUEUED} - TO_COME:
        raise ValueError(f"Never reached: {sorted(missing)}")
    for state, step in graph.items():
        if State.HELD not in step.to or step.deadline <= timedelta(0):
            raise ValueError(f"{state} needs a way to a person and a deadline")


check(GRAPH)
