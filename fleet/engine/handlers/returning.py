"""The way back: a machine that was not replaced yet gets the power state that it had, and goes back to the queue or out.

Rows are marked (`returning`) by a person's pause, abort or skip, or by a gate that closed before the call; the intent is
never committed for a marked row.
"""

from datetime import datetime, timedelta

from fleet.engine.batch import Batch, machine_event
from fleet.engine.handlers.before_the_line import gone
from fleet.engine.handlers.power import ask_to_start, cause_only
from fleet.engine.results import Move, Result, RowFields, State, Wait, ended
from fleet.inventory.reading import Reading
from fleet.models import Outcome, Replacement

# What was asked for, a stop or a start, may take a moment to show.
SHOWS = timedelta(seconds=10)
DEADLINE = timedelta(minutes=15)


def send_back_fields(now: datetime) -> RowFields:
    """Return the fields that send a row back."""
    return {"returning": True, "deadline_at": now + DEADLINE}


def bring_back(batch: Batch) -> dict[int, Result]:
    """Make it true that each machine has the power state that it had before we came."""
    results: dict[int, Result] = {}
    to_start: list[Replacement] = []
    for row in batch.rows:
        result = _look(row, batch.reading(row), batch)
        if result is None:
            to_start.append(row)
        else:
            results[row.pk] = result
    return results | (ask_to_start(batch, to_start) if to_start else {})


def _look(row: Replacement, reading: Reading, batch: Batch) -> Result | None:
    """Return what follows from the reading; None: the machine is asked to start."""
    if not reading.exists:
        return gone(row)
    if not row.was_running:
        return finish_return(row)
    # Where its end is decided the note says why; that is not to be overwritten.
    note = "" if row.outcome else "It gets back the power state that it had."
    if row.asked_at is not None and batch.now - row.asked_at < SHOWS:
        return Wait(3, note)
    if reading.status == "Running":
        return finish_return(row)
    if reading.status == "Stopped":
        return None
    return Wait(batch.pace(row), note)


def finish_return(row: Replacement) -> Move:
    """Return the end of the way back: the outcome that was decided on, or the queue."""
    if row.outcome:
        note = cause_only(row.note) or "The old system is intact."
        return ended(Outcome(row.outcome), note, code=row.error_code)
    back = machine_event(row, "instance.returned", running=bool(row.was_running))
    return Move(State.QUEUED, "It is as it was, and waits for its turn again.", {}, [back])


def overdue(row: Replacement) -> Move:
    """Return what becomes of a machine that did not get its power state back in time."""
    note = f"It did not start again in 15 min; the old system is intact. {row.note}"
    outcome = row.outcome or Outcome.FAILED_UNTOUCHED
    # A machine that we stopped and that stands still is a person's business, whatever was to become of it.
    fields: RowFields = {
        "held_from": State.STARTING,
        "returning": False,
        "outcome": outcome,
        "error_code": row.error_code,
    }
    return Move(State.HELD, note, fields)
