"""DescribeSnapshots, CreateSnapshot, DeleteSnapshot."""

from collections.abc import Callable
from math import inf
from typing import Any

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.matching import all_of, check_dry_run, name_matches, tag_list, tags_match
from fleet.emulator.contract.paging import cut, page_of
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import common_error
from fleet.emulator.wire.times import to_second
from fleet.emulator.world.catalogue import REGIONS
from fleet.emulator.world.ids import new_id
from fleet.emulator.world.resources import Snapshot


@action(
    "DescribeSnapshots",
    scope="region",
    honoured=(
        "SnapshotIds InstanceId DiskId SnapshotName Status SnapshotType SourceDiskType Usage Tag.N.Key Tag.N.Value "
        "PageNumber PageSize NextToken MaxResults DryRun"
    ),
    ignored="SnapshotLinkId ResourceGroupId Filter.N.Key Filter.N.Value Encrypted KMSKeyId Category",
)
def describe_snapshots(call: Call) -> Answer:
    """List snapshots; those of a released disk stay, unless they went with it."""
    check_dry_run(call.params)
    region, now = call.region, call.now
    ids = call.params.json_list("SnapshotIds", error=common_error("InvalidSnapshotIds.Malformed"))
    if ids is not None:
        among = [region.snapshots[i] for i in ids if i in region.snapshots]
    elif call.params.get("DiskId"):
        among = [region.snapshots[i] for i in region.snapshot_ids_of.get(call.params.get("DiskId"), ())]
    else:
        among = list(region.snapshots.values())
    tests: list[Callable[[Snapshot], bool]] = [lambda one: one.exists(now), *_tests(call)]
    found, fields = cut(page_of(call.params, tokens=True), among, all_of(tests))
    used = {image.source_snapshot_id for image in region.images.values()}
    return {"Snapshots": {"Snapshot": [snapshot_view(one, now, used) for one in found]}, **fields}


def _tests(call: Call) -> list[Callable[[Snapshot], bool]]:
    params, region, now = call.params, call.region, call.now
    tests: list[Callable[[Snapshot], bool]] = []
    if disk_id := params.get("DiskId"):
        tests.append(lambda one: one.disk_id == disk_id)
    if instance_id := params.get("InstanceId"):
        disks = {disk.id for disk in region.disks_of(instance_id)}
        tests.append(lambda one: one.disk_id in disks)
    if name := params.get("SnapshotName"):
        tests.append(lambda one: name_matches(name, one.name))
    if (status := params.choice("Status", "progressing", "accomplished", "failed", "all")) not in ("", "all"):
        tests.append(lambda one: _status(one, now) == status)
    if (kind := params.choice("SnapshotType", "auto", "user", "all")) not in ("", "all"):
        tests.append(lambda one: one.kind == kind)
    if source := params.get("SourceDiskType").lower():
        tests.append(lambda one: one.disk_kind == source)
    if usage := params.choice("Usage", "image", "disk", "image_disk", "none"):
        used = {image.source_snapshot_id for image in region.images.values()}
        tests.append(lambda one: ("image" if one.id in used else "none") == usage)
    if tags := params.tags():
        tests.append(lambda one: tags_match(tags, one.tags))
    return tests


def _status(snapshot: Snapshot, now: float) -> str:
    return "accomplished" if snapshot.done_at <= now else "progressing"


def snapshot_view(snapshot: Snapshot, now: float, used: set[str]) -> dict[str, Any]:
    """Return a snapshot as DescribeSnapshots shows it."""
    done = snapshot.done_at <= now
    share = (
        0.0
        if snapshot.done_at == inf
        else (now - snapshot.created_at) / max(snapshot.done_at - snapshot.created_at, 0.001)
    )
    return {
        "SnapshotId": snapshot.id,
        "SnapshotName": snapshot.name,
        "Description": snapshot.description,
        "SnapshotType": snapshot.kind,
        "Status": _status(snapshot, now),
        "Progress": "100%" if done else f"{min(99, int(100 * share))}%",
        "RemainTime": 0 if done or snapshot.done_at == inf else int(snapshot.done_at - now) + 1,
        "CreationTime": to_second(snapshot.created_at),
        "LastModifiedTime": to_second(snapshot.created_at),
        "SourceDiskId": snapshot.disk_id,
        "SourceDiskType": snapshot.disk_kind,
        "SourceDiskSize": str(snapshot.disk_size),
        "SourceStorageType": "disk",
        "RetentionDays": snapshot.retention_days,
        "Encrypted": False,
        "KMSKeyId": "",
        "Usage": "image" if snapshot.id in used else "none",
        "Category": "standard",
        "Available": done,
        "InstantAccess": False,
        "InstantAccessRetentionDays": 0,
        "ProductCode": "",
        "ResourceGroupId": "",
        "RegionId": snapshot.region,
        "SnapshotLinkId": f"sl-{snapshot.disk_id.partition('-')[2]}",
        "Tags": tag_list(snapshot.tags),
    }


@action(
    "CreateSnapshot",
    scope="disk",
    honoured="DiskId SnapshotName Description RetentionDays ClientToken Tag.N.Key Tag.N.Value",
    ignored="InstantAccess InstantAccessRetentionDays ResourceGroupId StorageLocationArn Category",
    changes=True,
)
def create_snapshot(call: Call) -> Answer:
    """Take a snapshot of a disk that no other snapshot is being taken of."""
    params, region, now = call.params, call.region, call.now
    disk = region.disks.get(params.require("DiskId"))
    if disk is None or not disk.exists(now):
        raise common_error("InvalidDiskId.NotFound")
    name = params.get("SnapshotName")
    if name and (name.startswith(("auto", "http://", "https://")) or not 2 <= len(name) <= 128):
        raise common_error("InvalidSnapshotName.Malformed")
    if disk.attached_at > now:
        raise common_error("IncorrectDiskStatus")
    if region.snapshot_in_progress(disk.id, now):
        raise common_error("IncorrectDiskStatus.CreatingSnapshot")
    seconds = inf if call.met("stuck", disk.instance_id) else call.settings.lasts("snapshot")
    snapshot = Snapshot(
        new_id("s", REGIONS[region.id].prefix),
        region.id,
        name,
        disk.id,
        disk.kind,
        disk.size,
        "user",
        now,
        now + seconds,
        retention_days=params.integer("RetentionDays") or 0,
        description=params.get("Description"),
        tags=dict(params.tags()),
    )
    region.add(snapshot)
    call.effect = True
    return {"SnapshotId": snapshot.id}


@action("DeleteSnapshot", scope="snapshot", honoured="SnapshotId Force", changes=True)
def delete_snapshot(call: Call) -> Answer:
    """Delete a snapshot; one that an image is made of only with Force."""
    region, now = call.region, call.now
    snapshot = region.snapshots.get(call.params.require("SnapshotId"))
    if snapshot is None or not snapshot.exists(now):
        raise common_error("InvalidSnapshotId.NotFound")
    used = any(image.source_snapshot_id == snapshot.id for image in region.images.values())
    if used and not call.params.boolean("Force"):
        raise common_error("SnapshotCreatedImage")
    snapshot.removed_at = now
    region.changed(snapshot)
    call.effect = True
    return {}
