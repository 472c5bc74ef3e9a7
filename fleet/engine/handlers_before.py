"""Before the line of no return: look, and stop. Nothing here can lose anything."""

from datetime import timedelta

from fleet.cloud import CloudError
from fleet.engine.batch import Batch, later, told
from fleet.engine.results import Move, Result, State, Wait, ended, poll_after, put_back
from fleet.inventory.reading import Reading
from fleet.models import Outcome, Replacement

ASK_AGAIN = timedelta(seconds=60)


def drift(row: Replacement, reading: Reading) -> str:
    """Say how the machine differs from what was approved, or nothing where it does not."""
    seen = row.target.seen
    if reading.disk_id != seen["disk_id"]:
        return f"Its system disk is {reading.disk_id or 'gone'}; {seen['disk_id']} was approved."
    if reading.disk_size != seen["size"]:
        return f"Its system disk has {reading.disk_size} GiB; it had {seen['size']} when it was approved."
    return ""


def gone(row: Replacement) -> Move:
    return ended(
        Outcome.FAILED_UNTOUCHED,
        "The machine no longer exists; we did not touch it.",
        code="InvalidInstanceId.NotFound",
    )


def preparing(batch: Batch) -> dict[int, Result]:
    """Make sure that the machine is the approved one, and write down what its disk carries."""
    return {row.pk: _prepare(row, batch.reading(row), batch) for row in batch.rows}


def _prepare(row: Replacement, reading: Reading, batch: Batch) -> Result:
    if not reading.exists:
        return gone(row)
    if difference := drift(row, reading):
        return ended(Outcome.SKIPPED_DRIFT, difference, events=[told(row, "instance.skipped", why=difference)])
    if "security" in reading.locks:
        return ended(Outcome.FAILED_UNTOUCHED, "Locked by the provider for security.", code="InstanceLockedForSecurity")
    elapsed = (batch.now - row.entered_at).total_seconds()
    if reading.snapshot_running:
        return Wait(max(5.0, poll_after(elapsed)), "A snapshot of its disk is being made.")
    if reading.status not in ("Running", "Stopped"):
        return Wait(poll_after(elapsed), f"It is {reading.status.lower()}; it is looked at again.")
    fields = {
        "was_running": reading.status == "Running",
        "carried": {
            "snapshot_policy": reading.snapshot_policy,
            "disk_tags": reading.disk_tags,
            "key_pair": reading.key_pair,
        },
        "asked_at": None,
    }
    if reading.status == "Stopped":
        return Move(State.REPLACING, "It is stopped.", fields)
    return Move(State.STOPPING, "It runs and is asked to stop.", fields)


def stopping(batch: Batch) -> dict[int, Result]:
    """Make it true that the machine is stopped, in standard mode, so that it keeps its place and its address."""
    results: dict[int, Result] = {}
    to_ask: list[Replacement] = []
    for row in batch.rows:
        reading = batch.reading(row)
        elapsed = (batch.now - row.entered_at).total_seconds()
        if not reading.exists:
            results[row.pk] = gone(row)
        elif difference := drift(row, reading):
            results[row.pk] = put_back(row, Outcome.SKIPPED_DRIFT, difference)
        elif reading.status == "Stopped":
            results[row.pk] = Move(State.REPLACING, "It has stopped.")
        elif reading.status == "Running" and (row.asked_at is None or batch.now - row.asked_at > ASK_AGAIN):
            to_ask.append(row)
        else:
            results[row.pk] = Wait(poll_after(elapsed), "It was asked to stop.")
    if to_ask:
        results |= _ask_to_stop(batch, to_ask)
    return results


def _ask_to_stop(batch: Batch, rows: list[Replacement]) -> dict[int, Result]:
    """Stop takes no ClientToken: the reading before is what keeps it from being asked twice for nothing."""
    try:
        answer = batch.client.stop_instances(ids=[row.instance.instance_id for row in rows])
    except CloudError as error:
        refusal = ended(Outcome.FAILED_UNTOUCHED, f"The cloud refused to stop it: {error.message}", code=error.code)
        return {row.pk: later(error, batch.now) or refusal for row in rows}
    said = {verdict.instance_id: verdict for verdict in answer.verdicts}
    results: dict[int, Result] = {}
    for row in rows:
        verdict = said.get(row.instance.instance_id)
        asked = [told(row, "instance.stop_asked", request_id=answer.request_id)]
        if verdict is None or verdict.ok or verdict.code == "IncorrectInstanceStatus":
            results[row.pk] = Wait(1, "It was asked to stop.", {"asked_at": batch.now}, asked)
        else:
            note = f"The cloud refused to stop it: {verdict.message}"
            results[row.pk] = ended(Outcome.FAILED_UNTOUCHED, note, code=verdict.code, events=asked)
    return results
