"""The way back: a machine that was not replaced yet gets its former power state again, and goes to the queue or ends.

Rows are called back (`returning`) when a person pauses or ends the change or skips the machine, or when a gate closes before the
call. For such a row the intent is never committed.
"""

from datetime import datetime, timedelta

from fleet.engine.batch import Batch, machine_event
from fleet.engine.handlers.before_the_line import machine_gone
from fleet.engine.handlers.power import ask_to_start, cause_only
from fleet.engine.results import Move, Result, RowFields, State, Wait, ended
from fleet.inventory.reading import Reading
from fleet.models import Outcome, Replacement

# A stop or a start that was asked for may take this long until a reading shows it.
SHOWN_AFTER = timedelta(seconds=10)
DEADLINE = timedelta(minutes=15)


def send_back_fields(now: datetime) -> RowFields:
    """Return the fields that call a row back, with a deadline of their own."""
    return {"returning": True, "deadline_at": now + DEADLINE}


def bring_back(batch: Batch) -> dict[int, Result]:
    """Make it true that each machine has the power state that it had before we began."""
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
    """Return what follows from the reading, or None where the machine is to be asked to start."""
    if not reading.exists:
        return machine_gone(row)
    if not row.was_running:
        return finish_return(row)
    # Where its outcome is decided the note says why, and stays.
    note = "" if row.outcome else "It gets back the power state that it had."
    if row.asked_at is not None and batch.now - row.asked_at < SHOWN_AFTER:
        return Wait(3, note)
    if reading.status == "Running":
        return finish_return(row)
    if reading.status == "Stopped":
        return None
    return Wait(batch.pace(row), note)


def finish_return(row: Replacement) -> Move:
    """Return the last move of the way back: to the outcome that was decided on, or to the queue."""
    if row.outcome:
        note = cause_only(row.note) or "The old system is intact."
        return ended(Outcome(row.outcome), note, code=row.error_code)
    back = machine_event(row, "instance.returned", running=bool(row.was_running))
    return Move(State.QUEUED, "It is as it was, and waits for its turn again.", {}, [back])


def overdue(row: Replacement) -> Move:
    """Return the move of a machine that did not get its power state back in time: it is held for a person."""
    note = f"It did not start again in 15 min; the old system is intact. {row.note}"
    outcome = row.outcome or Outcome.FAILED_UNTOUCHED
    # We stopped it and it will not start: a person must look, whatever the intended outcome.
    fields: RowFields = {
        "held_from": State.STARTING,
        "returning": False,
        "outcome": outcome,
        "error_code": row.error_code,
    }
    return Move(State.HELD, note, fields)
