"""Before the line of no return: the machine is compared with the approved one, and stopped. Nothing here can lose data."""

from dataclasses import replace
from datetime import datetime, timedelta

from fleet.engine.batch import Batch
from fleet.engine.codes import NOT_STAYING
from fleet.engine.handlers.power import ask_to_stop
from fleet.engine.results import Move, Result, RowFields, State, Wait, end_and_start_again, ended, hold_for_person
from fleet.engine.route import onward
from fleet.guards.policy import Policy
from fleet.inventory.reading import Reading
from fleet.models import Outcome, Replacement, Transition

ASK_AGAIN = timedelta(seconds=60)
STOPPED_BEFORE = (State.SNAPSHOTTING, State.REPLACING)
MOST_STOPS = 3  # times that a machine is stopped once more; then somebody else starts it, and a person looks


def drift(row: Replacement, reading: Reading) -> str:
    """Return a sentence that says how the machine differs from the approved one, or nothing where it does not."""
    seen = row.target.seen
    if reading.disk_id != seen["disk_id"]:
        return f"Its system disk is {reading.disk_id or 'gone'}; {seen['disk_id']} was approved."
    if reading.disk_size != seen["size"]:
        return f"Its system disk has {reading.disk_size} GiB; it had {seen['size']} when it was approved."
    return ""


def machine_gone(row: Replacement) -> Move:
    """Return the end of a machine that no longer exists and was not touched by us."""
    return ended(
        Outcome.FAILED_UNTOUCHED,
        "The machine no longer exists; we did not touch it.",
        code="InvalidInstanceId.NotFound",
    )


def preparing(batch: Batch) -> dict[int, Result]:
    """Make sure that the machine is the approved one, and record what its disk carries."""
    return {row.pk: _prepare(row, batch.reading(row), batch) for row in batch.rows}


def _prepare(row: Replacement, reading: Reading, batch: Batch) -> Result:
    if not reading.exists:
        return machine_gone(row)
    if difference := drift(row, reading):
        return end_and_start_again(row, Outcome.SKIPPED_DRIFT, difference)
    if "security" in reading.locks:
        return end_and_start_again(
            row,
            Outcome.FAILED_UNTOUCHED,
            "Locked by the provider for security.",
            code="InstanceLockedForSecurity",
        )
    if reading.snapshot_running:
        return Wait(max(5.0, batch.pace(row)), "A snapshot of its disk is being made.")
    if reading.status not in ("Running", "Stopped"):
        return Wait(batch.pace(row), f"It is {reading.status.lower()}; it is looked at again.")
    if (
        row.was_running is None
    ):  # a retry comes here with a machine that we stopped: what was recorded before still holds
        row.was_running = reading.status == "Running"
    fields: RowFields = {
        "was_running": row.was_running,
        "carried": {
            "snapshot_policy": reading.snapshot_policy,
            "disk_tags": reading.disk_tags,
            "key_pair": reading.key_pair,
        },
    }
    return Move(onward(row, State.PREPARING), f"It is the approved machine, and {reading.status.lower()}.", fields)


def stopping(batch: Batch) -> dict[int, Result]:
    """Make it true that the machine is stopped; where the policy says so, by force after its time for a clean shutdown."""
    results: dict[int, Result] = {}
    to_ask: list[Replacement] = []
    to_force: list[Replacement] = []
    for row in batch.rows:
        reading = batch.reading(row)
        if not reading.exists:
            results[row.pk] = machine_gone(row)
        elif difference := drift(row, reading):
            results[row.pk] = end_and_start_again(row, Outcome.SKIPPED_DRIFT, difference)
        elif reading.status == "Stopped":
            results[row.pk] = Move(onward(row, State.STOPPING), "It has stopped.")
        elif _shutdown_takes_too_long(row, batch.now):
            to_force.append(row)
        elif reading.status == "Running" and (row.asked_at is None or batch.now - row.asked_at > ASK_AGAIN):
            to_ask.append(row)
        else:
            results[row.pk] = Wait(batch.pace(row), "It was asked to stop.")
    if to_ask:
        results |= ask_to_stop(batch, to_ask)
    if to_force:
        results |= ask_to_stop(batch, to_force, force=True)
    return results


def _shutdown_takes_too_long(row: Replacement, now: datetime) -> bool:
    minutes = Policy.of(row.change.policy).force_stop_minutes
    if row.asked_at is None:
        return False  # it was not asked to shut down yet, however long it waited for that
    return bool(minutes) and not row.forced and now - row.entered_at >= timedelta(minutes=minutes)


def held_if_stopped_too_often(row: Replacement, result: Result) -> Result:
    """Hold a machine that is to be stopped once more after it was stopped three times; return any other result as it is.

    Each stay in a state has a deadline, but to be stopped again begins another stay: without this a machine that somebody
    starts again and again would go round for ever. A person's decision about it begins the count anew.
    """
    if not isinstance(result, Move) or result.to is not State.STOPPING or row.state not in STOPPED_BEFORE:
        return result
    history = Transition.objects.filter(replacement=row)
    decided = history.filter(from_state=State.HELD).order_by("-at").values_list("at", flat=True).first()
    again = history.filter(from_state__in=STOPPED_BEFORE, to_state=State.STOPPING)
    if (again.filter(at__gt=decided) if decided else again).count() < MOST_STOPS:
        return result
    why = f"It was stopped {MOST_STOPS} times and does not stay stopped, or the cloud does not take it for stopped."
    code = result.fields.get("error_code") or NOT_STAYING
    move = hold_for_person(row, f"{why} {result.note}", code=code, events=result.events)
    return replace(move, fields={**result.fields, **move.fields})
