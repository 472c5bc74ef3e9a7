"""From the API's JSON to types. Lists are wrapped twice, empty fields may be absent, and numbers may come as texts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fleet.cloud.types import (
    BatchAnswer,
    DiskView,
    ImageView,
    InstanceTypeView,
    InstanceView,
    KeyPairView,
    MachineAnswer,
    RegionView,
    RunResult,
    SnapshotView,
)

Json = dict[str, Any]

_ARCHITECTURES = {"X86": "x86_64", "ARM": "arm64"}
_SYSTEM_DEVICES = ("/dev/xvda", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "")


def rows(answer: Json, outer: str, inner: str) -> list[Any]:
    """Return the list that is found under `outer` and `inner`; KeyError where the answer has another shape."""
    wrapped = answer[outer]
    found = wrapped.get(inner) if isinstance(wrapped, dict) else wrapped
    return found or []


def when(text: str | None) -> datetime | None:
    """Return a time of the API: instances have minutes (`2024-04-14T22:32Z`), all else seconds. ValueError for other texts."""
    if not text:
        return None
    pattern = "%Y-%m-%dT%H:%MZ" if text.count(":") == 1 else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.strptime(text, pattern).replace(tzinfo=UTC)


def yes(value: Any) -> bool:
    """Return a truth value of the API, which may come as a text."""
    return value is True or str(value).lower() == "true"


def tags(holder: Json) -> dict[str, str]:
    """Return the tags of a resource: instances and disks name the two parts of a tag differently."""
    pairs = (holder.get("Tags") or {}).get("Tag") or []
    return {_either(pair, "TagKey", "Key"): _either(pair, "TagValue", "Value") for pair in pairs}


def instance(row: Json) -> InstanceView:
    """Return an instance of DescribeInstances."""
    network = row.get("VpcAttributes") or {}
    private = _first(network.get("PrivateIpAddress")) or _first(row.get("InnerIpAddress"))
    public = (row.get("EipAddress") or {}).get("IpAddress") or _first(row.get("PublicIpAddress"))
    charge = row.get("InstanceChargeType") or ""
    reasons = (row.get("OperationLocks") or {}).get("LockReason") or []
    return InstanceView(
        instance_id=row["InstanceId"],
        name=row.get("InstanceName") or "",
        region=row.get("RegionId") or "",
        zone=row.get("ZoneId") or "",
        status=row["Status"],
        stopped_mode=row.get("StoppedMode") or "",
        instance_type=row.get("InstanceType") or "",
        os_type=(row.get("OSType") or "").lower(),
        os_name=_os_name(row),
        image_id=row.get("ImageId") or "",
        io_optimized=_io(row.get("IoOptimized")),
        charge_type=charge,
        expires_at=when(row.get("ExpiredTime")) if charge == "PrePaid" else None,
        key_pair=row.get("KeyPairName") or "",
        private_ip=private,
        public_ip=public,
        tags=tags(row),
        locks=_locks(reasons),
        created_at=when(row.get("CreationTime")),
    )


def disk(row: Json) -> DiskView:
    """Return a disk of DescribeDisks."""
    return DiskView(
        disk_id=row["DiskId"],
        instance_id=row.get("InstanceId") or "",
        kind=row["Type"],
        category=row.get("Category") or "",
        performance_level=row.get("PerformanceLevel") or "",
        size=int(row["Size"]),
        status=row["Status"],
        image_id=row.get("ImageId") or "",
        created_at=when(row.get("CreationTime")),
        snapshot_policy=row.get("AutoSnapshotPolicyId") or "",
        delete_auto_snapshot=yes(row.get("DeleteAutoSnapshot")),
        tags=tags(row),
        locks=_locks((row.get("OperationLocks") or {}).get("OperationLock") or []),
    )


def image(row: Json) -> ImageView:
    """Return an image of DescribeImages."""
    mappings = (row.get("DiskDeviceMappings") or {}).get("DiskDeviceMapping") or []
    return ImageView(
        image_id=row["ImageId"],
        name=row.get("ImageName") or "",
        os_type=(row.get("OSType") or "").lower(),
        os_name=_os_name(row),
        platform=row.get("Platform") or "",
        architecture=row.get("Architecture") or "",
        size=int(row["Size"]),
        owner=row.get("ImageOwnerAlias") or "",
        status=row.get("Status") or "",
        subscribed=yes(row.get("IsSubscribed")),
        product_code=row.get("ProductCode") or "",
        io_optimized=_io(row.get("IsSupportIoOptimized")),
        data_disk_snapshots=any(_is_data(mapping) for mapping in mappings),
        created_at=when(row.get("CreationTime")),
    )


def key_pair(row: Json) -> KeyPairView:
    """Return a key pair of DescribeKeyPairs."""
    return KeyPairView(
        name=row["KeyPairName"],
        fingerprint=row.get("KeyPairFingerPrint") or "",
        created_at=when(row.get("CreationTime")),
    )


def instance_type(row: Json) -> InstanceTypeView:
    """Return an instance type of DescribeInstanceTypes."""
    return InstanceTypeView(
        name=row["InstanceTypeId"],
        architecture=_ARCHITECTURES.get(str(row.get("CpuArchitecture")).upper(), ""),
        cpu=int(row.get("CpuCoreCount") or 0),
        memory=int(float(row.get("MemorySize") or 0) * 1024),
    )


def snapshot(row: Json) -> SnapshotView:
    """Return a snapshot of DescribeSnapshots."""
    return SnapshotView(
        snapshot_id=row["SnapshotId"],
        disk_id=row.get("SourceDiskId") or "",
        status=row.get("Status") or "",
        progress=row.get("Progress") or "",
        created_at=when(row.get("CreationTime")),
        name=row.get("SnapshotName") or "",
        size=int(row.get("SourceDiskSize") or 0),
    )


def run_result(row: Json) -> RunResult:
    """Return what one machine reports in DescribeInvocationResults."""
    return RunResult(
        instance_id=row["InstanceId"],
        status=row["InvokeRecordStatus"],
        exit_code=int(row.get("ExitCode") or 0),
        error_code=row.get("ErrorCode") or "",
        output=row.get("Output") or "",
    )


def region(row: Json) -> RegionView:
    """Return a region of DescribeRegions."""
    return RegionView(row["RegionId"], row.get("LocalName") or "", row.get("RegionEndpoint") or "")


def batch(answer: Json, ids: Sequence[str]) -> BatchAnswer:
    """Return what StopInstances or StartInstances answered for each id.

    A machine that the answer does not name has the code `FleetOS.NotAnswered`: read it before going on.
    """
    named = {
        row["InstanceId"]: MachineAnswer(row["InstanceId"], str(row.get("Code") or ""), row.get("Message") or "")
        for row in rows(answer, "InstanceResponses", "InstanceResponse")
    }
    return _in_order(answer, ids, named)


def attached(answer: Json, ids: Sequence[str]) -> BatchAnswer:
    """Return what AttachKeyPair answered for each id: its HTTP status 200 may hide failures of single machines."""
    named = {}
    for row in rows(answer, "Results", "Result"):
        code = "200" if yes(row.get("Success")) else str(row.get("Code") or "FleetOS.NotAnswered")
        named[row["InstanceId"]] = MachineAnswer(row["InstanceId"], code, row.get("Message") or "")
    return _in_order(answer, ids, named)


def _in_order(answer: Json, ids: Sequence[str], named: dict[str, MachineAnswer]) -> BatchAnswer:
    silent = "The answer does not name this machine."
    machines = tuple(named.get(id_) or MachineAnswer(id_, "FleetOS.NotAnswered", silent) for id_ in ids)
    return BatchAnswer(answer["RequestId"], machines)


def _os_name(row: Json) -> str:
    # "Ubuntu  22.04 64位" in Chinese, with two spaces; the English name has them too.
    return " ".join((row.get("OSNameEn") or row.get("OSName") or "").split())


def _first(addresses: Json | None) -> str:
    found = (addresses or {}).get("IpAddress") or [""]
    return found if isinstance(found, str) else str(found[0])


def _locks(reasons: list[Any]) -> tuple[str, ...]:
    return tuple(str(reason.get("LockReason") if isinstance(reason, dict) else reason) for reason in reasons)


def _io(value: Any) -> bool:
    return value is None or str(value).lower() in ("true", "optimized")


def _is_data(mapping: Json) -> bool:
    kind = mapping.get("Type")
    return kind == "data" if kind else (mapping.get("Device") or "") not in _SYSTEM_DEVICES


def _either(pair: Json, first: str, second: str) -> str:
    return str(pair.get(first, pair.get(second)) or "")
