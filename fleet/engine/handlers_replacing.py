"""The line of no return: ReplaceSystemDisk, sent at most once in effect, whatever dies.

For each machine, in this order: the reading (fresh), the gates, the quota, the committed intent with its token, the call,
the committed answer. After an unclear outcome the disk id decides: still the approved one and the intent young, the same
call with the same token; another one, never again.

What no client can prevent is another actor between our reading and our call: the API has no "expected disk id".
"""

from datetime import timedelta

from fleet.engine.batch import Batch, told
from fleet.engine.handlers_before import drift
from fleet.engine.results import Move, Result, State, Wait, held, poll_after, put_back
from fleet.engine.sending import send
from fleet.inventory.reading import Reading
from fleet.models import Outcome, Replacement

RESEND_WINDOW = timedelta(minutes=10)
# How far our clock and the provider's may stand apart. The reading just before the intent still showed the approved disk, so
# that nothing older than that can be mistaken for ours.
CLOCKS_APART = timedelta(seconds=60)


def replacing(batch: Batch) -> dict[int, Result]:
    """Make it true that the machine has a new system disk, in use, with the image asked for."""
    results: dict[int, Result] = {}
    to_send: list[Replacement] = []
    for row in batch.rows:
        result = _look(row, batch.reading(row), batch)
        if result is None:
            to_send.append(row)
        else:
            results[row.pk] = result
    if to_send:
        results |= send(batch, to_send)
    return results


def _look(row: Replacement, reading: Reading, batch: Batch) -> Result | None:
    """Return what follows from the reading alone; None means that the call may go out."""
    elapsed = (batch.now - row.entered_at).total_seconds()
    if not reading.exists:
        return held(row, "The machine no longer exists, and its disk may have been replaced before.")
    if reading.disk_id != row.target.seen["disk_id"]:
        return _other_disk(row, reading, elapsed)
    if row.new_disk_id:
        return Wait(poll_after(elapsed), "The cloud answered; the new disk does not show yet.")
    if difference := drift(row, reading):
        return put_back(row, Outcome.SKIPPED_DRIFT, difference)
    if row.first_sent_at and batch.now - row.first_sent_at > RESEND_WINDOW:
        return held(
            row,
            "The answer was lost and the time in which the same call may be sent again is over. Its disk is still the old one."
            " Nothing is sent before a person has looked.",
        )
    if reading.status != "Stopped":
        return Move(
            State.STOPPING, f"It is {reading.status.lower()} again and is stopped once more.", {"asked_at": None}
        )
    if reading.snapshot_running:
        return Wait(max(5.0, poll_after(elapsed)), "A snapshot of its disk is being made.")
    return None


def _other_disk(row: Replacement, reading: Reading, elapsed: float) -> Result:
    """The disk is not the approved one any more: never send again, only find out whose disk this is."""
    if row.first_sent_at is None:
        return put_back(row, Outcome.SKIPPED_DRIFT, drift(row, reading))
    if not row.new_disk_id:
        if not _is_ours(row, reading):
            return held(
                row,
                f"Its system disk is now {reading.disk_id}, which is not provably ours: the answer to our call was lost.",
            )
        adopted = told(row, "instance.adopted", new_disk=reading.disk_id, old_disk=row.target.seen["disk_id"])
        fields = {"new_disk_id": reading.disk_id, "outcome": Outcome.ADOPTED}
        return Wait(0, "The answer was lost; the new disk is ours by image, size and time.", fields, [adopted])
    if reading.disk_id != row.new_disk_id:
        return held(
            row, f"Its system disk is {reading.disk_id}; our call made {row.new_disk_id}. Somebody else was here."
        )
    if reading.disk_status != "In_use" or reading.image_id != row.change.image_id or reading.locks:
        return Wait(poll_after(elapsed), "The new disk is being made.")
    return Move(State.RESTORING, "The new disk is in use.")


def _is_ours(row: Replacement, reading: Reading) -> bool:
    """Say whether a disk fits our lost call: image and size as asked, made after the intent by the provider's clock."""
    wanted = row.change.disk_size
    return (
        row.first_sent_at is not None
        and reading.disk_image_id == row.change.image_id
        and (wanted is None or reading.disk_size == wanted)
        and reading.disk_created_at is not None
        and reading.disk_created_at >= row.first_sent_at - CLOCKS_APART
    )
