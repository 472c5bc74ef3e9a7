"""Undoing a change: an image is made from each machine's snapshot. The machine runs on meanwhile, untouched."""

from fleet.cloud import CloudError, ImageView
from fleet.engine.batch import Batch, machine_event, retry_after
from fleet.engine.results import Move, Result, State, Wait, end_and_start_again
from fleet.engine.route import onward
from fleet.lib.canonical import digest
from fleet.models import Outcome, Replacement, Snapshot

SECONDS_A_CALL = 15.0


def imaging(batch: Batch) -> dict[int, Result]:
    """Make it true that each machine's snapshot has an image that can be used."""
    ids = [row.target.snapshot_id for row in batch.rows]
    ledger = {row.snapshot_id: row for row in Snapshot.objects.filter(account=batch.account, snapshot_id__in=ids)}
    return {row.pk: _image(row, ledger.get(row.target.snapshot_id), batch) for row in batch.rows}


def _image(row: Replacement, snapshot: Snapshot | None, batch: Batch) -> Result:
    if snapshot is None or snapshot.gone_at or snapshot.expires_at <= batch.now:
        return _failed(row, "The snapshot that was to be put back is gone.", "InvalidSnapshotId.NotFound")
    # Upload and submit refuse it already: another machine's disk must never come onto this one, in whatever way it got here.
    if snapshot.instance_id != row.instance_id:
        return _failed(row, "The snapshot that was to be put back is another machine's.", "InvalidSnapshotId.NotFound")
    if batch.lease_left() < 2 * SECONDS_A_CALL:
        return Wait(0, "It waits for its turn.")
    # Read first: an image that was made though the answer was lost is found by its snapshot.
    images, _ = batch.client.describe_images(snapshot_id=snapshot.snapshot_id)
    view = next((image for image in images if image.name == _name(snapshot) and image.owner == "self"), None)
    if view is None:
        return _begin(row, snapshot, batch)
    return _wait_for(row, snapshot, view, batch)


def _wait_for(row: Replacement, snapshot: Snapshot, view: ImageView, batch: Batch) -> Result:
    if snapshot.made_image_id != view.image_id:
        Snapshot.objects.filter(pk=snapshot.pk).update(made_image_id=view.image_id)
    if view.status in ("Creating", "Waiting"):
        return Wait(batch.pace(row), "The image is being made.")
    if view.status != "Available":
        return _failed(row, f"The image of the snapshot is {view.status}.", "ImageNotAvailable")
    row.image_id = view.image_id
    return Move(onward(row, State.IMAGING), "The image of the snapshot is ready.", {"image_id": view.image_id})


def _begin(row: Replacement, snapshot: Snapshot, batch: Batch) -> Result:
    try:
        answer = batch.client.create_image(
            snapshot_id=snapshot.snapshot_id,
            name=_name(snapshot),
            client_token=digest(["CreateImage", row.pk, row.epoch, row.entered_at.isoformat()])[:40],
            tags={"fleet-os": f"change-{row.change_id}"},
        )
    except CloudError as error:
        if error.code == "InvalidImageName.Duplicated":
            return Wait(5, "The image of the snapshot is there, and does not show yet.")
        return retry_after(error, batch.now) or _failed(
            row, f"The cloud refused to make an image: {error.message}", error.code
        )
    asked = machine_event(
        row,
        "instance.image_asked",
        request_id=answer.request_id,
        image=answer.created_id,
        snapshot=snapshot.snapshot_id,
    )
    return Wait(batch.pace(row), "The image is being made.", {}, [asked])


def _name(snapshot: Snapshot) -> str:
    return f"fleet-os-{snapshot.snapshot_id}"


def _failed(row: Replacement, why: str, code: str) -> Move:
    return end_and_start_again(row, Outcome.FAILED_UNTOUCHED, f"{why} The machine was not touched.", code=code)
