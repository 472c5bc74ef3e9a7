"""DescribeDisks."""

from collections.abc import Callable
from typing import Any

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.matching import all_of, check_dry_run, name_matches, tag_list, tags_match
from fleet.emulator.contract.paging import cut, page_of
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import common_error
from fleet.emulator.wire.times import to_minute, to_second
from fleet.emulator.world.resources import Disk

STATUSES = ("In_use", "Available", "Attaching", "Detaching", "Creating", "ReIniting", "All")
POSTPAID_DISK_EXPIRES = "2999-09-08T16:00Z"


@action(
    "DescribeDisks",
    scope="region",
    honoured=(
        "DiskIds InstanceId DiskType Category Status DiskName DiskChargeType DeleteAutoSnapshot AutoSnapshotPolicyId "
        "EnableAutomatedSnapshotPolicy Encrypted KMSKeyId ZoneId Portable PerformanceLevel Tag.N.Key "
        "Tag.N.Value PageNumber PageSize NextToken MaxResults DryRun"
    ),
    ignored=(
        "ResourceGroupId LockReason EnableAutoSnapshot AdditionalAttributes.N SnapshotId MultiAttach "
        "DeleteWithInstance EnableShared Filter.N.Key Filter.N.Value"
    ),
)
def describe_disks(call: Call) -> Answer:
    """List the disks that exist; a released one is no longer found, a new one shows at once as Creating."""
    check_dry_run(call.params)
    region, now = call.region, call.now
    ids = call.params.json_list("DiskIds", error=common_error("InvalidDiskIds.Malformed"))
    instance_id = call.params.get("InstanceId")
    if ids is not None:
        among = [region.disks[i] for i in ids if i in region.disks]
    elif instance_id:
        among = region.disks_of(instance_id)
    else:
        among = list(region.disks.values())
    tests = _tests(call)
    if instance_id:
        tests.append(lambda disk: disk.instance_id == instance_id)
    page = page_of(call.params, tokens=True, most_by_token=500)
    found, fields = cut(page, among, all_of([lambda disk: disk.exists(now), *tests]))
    return {"Disks": {"Disk": [disk_view(disk, now) for disk in found]}, **fields}


def _tests(call: Call) -> list[Callable[[Disk], bool]]:
    params, now = call.params, call.now
    tests: list[Callable[[Disk], bool]] = []
    if (kind := params.choice("DiskType", "all", "system", "data")) not in ("", "all"):
        tests.append(lambda disk: disk.kind == kind)
    if (status := params.choice("Status", *STATUSES)) not in ("", "All"):
        tests.append(lambda disk: disk_status(disk, now) == status)
    if (category := params.get("Category")) not in ("", "all"):
        tests.append(lambda disk: disk.category == category)
    if name := params.get("DiskName"):
        tests.append(lambda disk: name_matches(name, disk.name))
    if charge := params.choice("DiskChargeType", "PrePaid", "PostPaid"):
        tests.append(lambda disk: disk.charge_type == charge)
    if policy := params.get("AutoSnapshotPolicyId"):
        tests.append(lambda disk: disk.policy_id == policy)
    if zone := params.get("ZoneId"):
        tests.append(lambda disk: disk.zone == zone)
    if level := params.get("PerformanceLevel"):
        tests.append(lambda disk: disk.performance_level == level)
    if key := params.get("KMSKeyId"):
        tests.append(lambda disk: disk.kms_key_id == key)
    switches: dict[str, Callable[[Disk], bool]] = {
        "DeleteAutoSnapshot": lambda disk: disk.delete_auto_snapshot,
        "EnableAutomatedSnapshotPolicy": lambda disk: bool(disk.policy_id),
        "Encrypted": lambda disk: disk.encrypted,
        "Portable": lambda disk: True,
    }
    for switch, read in switches.items():
        if (value := params.boolean(switch)) is not None:
            tests.append(lambda disk, read=read, value=value: read(disk) == value)  # type: ignore[misc]
    if tags := params.tags():
        tests.append(lambda disk: tags_match(tags, disk.tags))
    return tests


def disk_status(disk: Disk, now: float) -> str:
    """Return Creating until the disk is attached, then In_use."""
    return "In_use" if disk.attached_at <= now else "Creating"


def _performance(disk: Disk) -> tuple[int, int]:
    if disk.category == "cloud_essd":
        ceiling, throughput = {"PL0": (10000, 180), "PL1": (50000, 350), "PL2": (100000, 750)}.get(
            disk.performance_level, (1000000, 4000)
        )
        return min(1800 + 50 * disk.size, ceiling), int(min(120 + 0.5 * disk.size, throughput))
    if disk.category == "cloud_ssd":
        return min(1800 + 30 * disk.size, 25000), int(min(120 + 0.5 * disk.size, 300))
    return min(1800 + 8 * disk.size, 5000), int(min(100 + 0.15 * disk.size, 140))


def disk_view(disk: Disk, now: float) -> dict[str, Any]:
    """Return a disk as DescribeDisks shows it."""
    attached = disk.attached_at <= now
    attached_time = to_second(disk.attached_at) if attached else ""
    iops, throughput = _performance(disk)
    attachment = {"InstanceId": disk.instance_id, "Device": disk.device, "AttachedTime": attached_time}
    return {
        "DiskId": disk.id,
        "DiskName": disk.name,
        "Description": "",
        "Type": disk.kind,
        "Category": disk.category,
        "PerformanceLevel": disk.performance_level,
        "Size": disk.size,
        "IOPS": iops,
        "Throughput": throughput,
        "Status": disk_status(disk, now),
        "InstanceId": disk.instance_id,
        "Device": disk.device if attached else "",
        "ImageId": disk.image_id,
        "SourceSnapshotId": "",
        "DiskChargeType": disk.charge_type,
        "Portable": True,
        "DeleteWithInstance": True,
        "DeleteAutoSnapshot": disk.delete_auto_snapshot,
        "EnableAutoSnapshot": True,
        "EnableAutomatedSnapshotPolicy": bool(disk.policy_id),
        "AutoSnapshotPolicyId": disk.policy_id,
        "Encrypted": disk.encrypted,
        "KMSKeyId": disk.kms_key_id,
        "MultiAttach": "Disabled",
        "Attachments": {"Attachment": [attachment] if attached else []},
        "AttachedTime": attached_time,
        "DetachedTime": "",
        "CreationTime": to_second(disk.created_at),
        "ExpiredTime": POSTPAID_DISK_EXPIRES if disk.charge_type == "PostPaid" else to_minute(4102415940.0),
        "RegionId": disk.region,
        "ZoneId": disk.zone,
        "Placement": {},
        "Tags": tag_list(disk.tags),
        "OperationLocks": {"OperationLock": []},
        "SerialNumber": disk.id.partition("-")[2],
        "BdfId": "",
        "ProductCode": "",
        "ResourceGroupId": "",
        "StorageSetId": "",
        "StorageClusterId": "",
    }
