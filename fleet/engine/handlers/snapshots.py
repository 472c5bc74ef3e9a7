"""The snapshot of the old disk before it is destroyed, and its entry in the undo ledger. The machine is stopped meanwhile."""

from datetime import timedelta

from fleet.cloud import CloudError, SnapshotView
from fleet.cloud.describe import IDS_A_CALL
from fleet.engine.batch import Batch, machine_event, retry_after
from fleet.engine.codes import SNAPSHOT_FAILED, SNAPSHOT_IN_PROGRESS
from fleet.engine.handlers.before_the_line import drift, machine_gone
from fleet.engine.results import Move, Result, RowFields, State, Wait, end_and_start_again
from fleet.engine.route import onward
from fleet.inventory.reading import Reading
from fleet.lib.canonical import digest
from fleet.models import Outcome, Replacement, Snapshot

SECONDS_A_CALL = 15.0
# A snapshot of this disk is being made: our own, where an answer was lost, or somebody else's.
BEING_MADE = SNAPSHOT_IN_PROGRESS | {"DISK_HAS_CREATING_SNAPSHOT"}
PASSING = frozenset({"QuotaExceed.ConcurrentSnapshotQuota", "IncorrectDiskStatus"})


def snapshotting(batch: Batch) -> dict[int, Result]:
    """Make it true that a finished snapshot of the approved disk is in the ledger."""
    asked = [row.snapshot_id for row in batch.rows if row.snapshot_id]
    views: dict[str, SnapshotView] = {}
    for start in range(0, len(asked), IDS_A_CALL):
        found, _ = batch.client.describe_snapshots(ids=asked[start : start + IDS_A_CALL])
        views |= {view.snapshot_id: view for view in found}
    return {row.pk: _snapshot(row, batch.reading(row), views.get(row.snapshot_id), batch) for row in batch.rows}


def _snapshot(row: Replacement, reading: Reading, view: SnapshotView | None, batch: Batch) -> Result:
    if not reading.exists:
        return machine_gone(row)
    if difference := drift(row, reading):
        return end_and_start_again(row, Outcome.SKIPPED_DRIFT, difference)
    if reading.status != "Stopped":
        # What is written while it runs is not in the snapshot: it is stopped, and another one is taken.
        return Move(State.STOPPING, f"It is {reading.status.lower()} again and is stopped once more.")
    if not row.snapshot_id:
        return _begin(row, batch)
    if view is None or view.status == "failed" or view.disk_id != row.target.seen["disk_id"]:
        why = "The snapshot failed." if view else "The snapshot is gone."
        return end_and_start_again(
            row, Outcome.FAILED_UNTOUCHED, f"{why} The old system is intact.", code=SNAPSHOT_FAILED
        )
    if view.status != "accomplished":
        return Wait(batch.pace(row), f"The snapshot is being taken ({view.progress}).")
    _enter_into_ledger(row, view, batch)
    taken = machine_event(row, "instance.snapshot_taken", snapshot=view.snapshot_id, disk=view.disk_id)
    return Move(onward(row, State.SNAPSHOTTING), "The snapshot is taken.", {}, [taken])


def _begin(row: Replacement, batch: Batch) -> Result:
    """Ask for the snapshot. The token is the same for one visit of the state, so that one visit makes one snapshot."""
    if batch.lease_left() < SECONDS_A_CALL:
        return Wait(0, "It waits for its turn.")
    disk = row.target.seen["disk_id"]
    name = f"fleet-os-{row.change_id}-{row.pk}"
    try:
        answer = batch.client.create_snapshot(
            disk_id=disk,
            name=name,
            days=row.change.snapshot_days or 1,
            client_token=digest(["CreateSnapshot", row.pk, row.epoch, row.entered_at.isoformat()])[:40],
            tags={"fleet-os": f"change-{row.change_id}"},
        )
    except CloudError as error:
        return _refused(row, error, name, batch)
    asked = machine_event(
        row, "instance.snapshot_asked", request_id=answer.request_id, snapshot=answer.created_id, disk=disk
    )
    return Wait(
        batch.pace(row), "The snapshot is being taken.", {"snapshot_id": answer.created_id, "error_code": ""}, [asked]
    )


def _refused(row: Replacement, error: CloudError, name: str, batch: Batch) -> Result:
    if again := retry_after(error, batch.now):
        return again
    if error.code in BEING_MADE:
        views, _ = batch.client.describe_snapshots(disk_id=row.target.seen["disk_id"])
        ours = [view for view in views if view.name == name and view.status == "progressing"]
        fields: RowFields = {"snapshot_id": ours[0].snapshot_id} if ours else {}
        return Wait(15, "A snapshot of its disk is being taken already.", fields)
    if error.code in PASSING:
        return Wait(30, f"The snapshot has to wait: {error.message}", {"error_code": error.code})
    why = f"The cloud refused to take a snapshot: {error.message} The old system is intact."
    return end_and_start_again(row, Outcome.FAILED_UNTOUCHED, why, code=error.code)


def _enter_into_ledger(row: Replacement, view: SnapshotView, batch: Batch) -> None:
    """Write the snapshot into the ledger, once. One of an earlier visit stays in it, but belongs to no replacement any more."""
    machine, seen = row.instance, row.target.seen
    made = view.created_at or batch.now
    Snapshot.objects.filter(replacement=row).exclude(snapshot_id=view.snapshot_id).update(replacement=None)
    Snapshot.objects.update_or_create(
        account=batch.account,
        snapshot_id=view.snapshot_id,
        defaults={
            "region": row.region,
            "instance": machine,
            "replacement": row,
            "disk_id": view.disk_id,
            "size": view.size or seen["size"],
            "image_id": seen["image_id"],
            "os_type": machine.os_type,
            "os_name": machine.os_name,
            "architecture": machine.architecture,
            "ready_at": batch.now,
            "created_at": made,
            "expires_at": made + timedelta(days=row.change.snapshot_days or 1),
        },
    )
