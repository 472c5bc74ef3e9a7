"""The line of no return: ReplaceSystemDisk takes effect at most once, whichever process dies.

For each machine, in this order: a fresh reading, the gates, the quota, the committed intent with its token, the call, the
committed answer. What follows from record and reading is decided in `protocol`; here it becomes moves, fields and sentences.

No client can prevent that somebody else acts between our reading and our call: the API has no "expected disk id".
"""

from datetime import datetime

from fleet.engine.batch import Batch, machine_event
from fleet.engine.handlers.before_the_line import drift
from fleet.engine.handlers.sending import send
from fleet.engine.protocol import NextStep, Record, Seen, decide
from fleet.engine.results import Move, Result, RowFields, State, Wait, end_and_start_again, hold_for_person
from fleet.inventory.reading import Reading
from fleet.models import Outcome, Replacement


def replacing(batch: Batch) -> dict[int, Result]:
    """Make it true that the machine has a new system disk, in use, with the image asked for."""
    results: dict[int, Result] = {}
    to_send: list[Replacement] = []
    for row in batch.rows:
        result = result_of_reading(row, batch.reading(row), batch.now, soon=batch.pace(row))
        if result is None:
            to_send.append(row)
        else:
            results[row.pk] = result
    if to_send:
        results |= send(batch, to_send)
    return results


def record_of(row: Replacement, now: datetime) -> Record:
    """Return what is on record about a row, in the terms of the protocol."""
    return Record(
        approved_disk=row.target.seen["disk_id"],
        approved_size=row.target.seen["size"],
        image=row.image_id,
        size=row.change.disk_size,
        sent_ago=_seconds(row.first_sent_at, now),
        new_disk=row.new_disk_id,
    )


def seen_of(reading: Reading, image: str, now: datetime) -> Seen:
    """Return what a reading showed, in the terms of the protocol; `image` is the one that was asked for."""
    return Seen(
        exists=reading.exists,
        disk=reading.disk_id,
        disk_size=reading.disk_size,
        disk_image=reading.disk_image_id,
        disk_age=_seconds(reading.disk_created_at, now),
        ready=reading.disk_status == "In_use" and reading.image_id == image and not reading.locks,
        stopped=reading.status == "Stopped",
        snapshot_running=bool(reading.snapshot_running),
    )


def result_of_reading(row: Replacement, reading: Reading, now: datetime, *, soon: float) -> Result | None:
    """Return what follows from record and reading, or None where the call may leave. `soon`: seconds until the next look."""
    record = record_of(row, now)
    step = decide(record, seen_of(reading, record.image, now))
    disk = reading.disk_id or "gone"
    match step:
        case NextStep.SEND:
            return None
        case NextStep.STOP:
            note = f"It is {reading.status.lower()} again and is stopped once more."
            return Move(State.STOPPING, note, {"asked_at": None})
        case NextStep.SKIP:
            return end_and_start_again(row, Outcome.SKIPPED_DRIFT, drift(row, reading))
        case NextStep.WAIT_SNAPSHOT:
            return Wait(max(5.0, soon), "A snapshot of its disk is being made.")
        case NextStep.WAIT_RUNNING:
            note = f"The answer to our call was lost, and it is {reading.status.lower()} again. It is only looked at."
            return Wait(soon, note)
        case NextStep.WAIT_SHOWN:
            known = "The cloud answered" if row.new_disk_id else "The answer was lost"
            return Wait(soon, f"{known}; the new disk does not show yet.")
        case NextStep.WAIT_READY:
            return Wait(soon, "The new disk is being made.")
        case NextStep.ADOPT:
            adopted = machine_event(row, "instance.adopted", new_disk=reading.disk_id, old_disk=record.approved_disk)
            fields: RowFields = {"new_disk_id": reading.disk_id, "outcome": Outcome.ADOPTED}
            return Wait(0, "The answer was lost; the new disk is ours by image, size and time.", fields, [adopted])
        case NextStep.RESTORE:
            return Move(State.RESTORING, "The new disk is in use.")
        case NextStep.HOLD_GONE:
            return hold_for_person(row, "The machine no longer exists, and its disk may have been replaced before.")
        case NextStep.HOLD_WINDOW_OVER:
            shown = "Its disk is still the old one." if reading.disk_id else "It shows no system disk."
            return hold_for_person(
                row,
                "The answer was lost and the time in which the same call may be sent again is over."
                f" {shown} Nothing is sent before a person has looked.",
            )
        case NextStep.HOLD_CHANGED:
            return hold_for_person(
                row, f"The answer to our call was lost, and the machine has changed: {drift(row, reading)}"
            )
        case NextStep.HOLD_NOT_OURS:
            return hold_for_person(
                row, f"Its system disk is now {disk}, which is not provably ours: the answer to our call was lost."
            )
        case NextStep.HOLD_ANOTHER:
            return hold_for_person(
                row, f"Its system disk is {disk}; our call made {row.new_disk_id}. Somebody else was here."
            )


def _seconds(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else (now - since).total_seconds()
