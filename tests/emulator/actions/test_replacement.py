"""What a replacement does to a machine, and what it leaves alone."""

import json
from typing import Any

import pytest

from tests.emulator.caller import EXAMPLE, Emulated

PASSWORD = "Correct9Horse"
WINDOWS = "win2022_21H2_x64_dtc_en-us_40G_alibase_20241015.vhd"
ME = EXAMPLE["InstanceId"]


def replace(emu: Emulated, **more: str) -> str:
    return str(emu.ok("ReplaceSystemDisk", {**EXAMPLE, **more})["DiskId"])


def test_new_disk_at_once_old_one_released_at_completion(emu: Emulated) -> None:
    (old,) = emu.disks(ME)
    before = emu.instance(ME)
    new = replace(emu)
    assert [(one["DiskId"], one["Status"]) for one in emu.disks(ME)] == [(old["DiskId"], "In_use"), (new, "Creating")]
    assert emu.instance(ME) == before
    emu.pass_time(59)
    assert len(emu.disks(ME)) == 2
    emu.pass_time(1)
    (disk,) = emu.disks(ME)
    assert (disk["DiskId"], disk["Status"], disk["ImageId"]) == (new, "In_use", "m-myimage11")
    assert disk["CreationTime"] == "2026-11-23T02:13:20Z"
    assert disk["AttachedTime"] == "2026-11-23T02:14:20Z"
    after = emu.instance(ME)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed == {"ImageId", "OSName", "OSNameEn", "KeyPairName"}
    assert after["Status"] == "Stopped"
    gone = emu.ok("DescribeDisks", DiskIds=json.dumps([old["DiskId"]]))
    assert gone["Disks"]["Disk"] == []
    assert gone["TotalCount"] == 0


def test_category_level_and_billing_stay(emu: Emulated) -> None:
    emu.told("PATCH", f"instances/{ME}", {"SystemDisk": {"Category": "cloud_ssd", "PerformanceLevel": ""}})
    (old,) = emu.disks(ME)
    replace(emu, **{"SystemDisk.Size": "100"})
    emu.pass_time(60)
    (new,) = emu.disks(ME)
    for name in ("Category", "PerformanceLevel", "DiskChargeType", "ZoneId", "RegionId", "Type"):
        assert new[name] == old[name]
    assert new["Size"] == 100


@pytest.mark.parametrize(("current", "size"), [(20, 40), (40, 40), (77, 77)])
def test_default_size(emu: Emulated, current: int, size: int) -> None:
    emu.told("PATCH", f"instances/{ME}", {"SystemDisk": {"Size": current}})
    new = replace(emu)
    assert emu.disks(ME)[-1]["DiskId"] == new
    assert emu.disks(ME)[-1]["Size"] == size


@pytest.mark.parametrize(
    ("size", "code"), [("20", ""), ("500", ""), ("0", "LessThanMinSize"), ("-5", "LessThanMinSize")]
)
def test_size_limits(emu: Emulated, size: str, code: str) -> None:
    emu.told("PATCH", f"instances/{ME}", {"SystemDisk": {"Size": 20}})
    answer = emu.call("ReplaceSystemDisk", {**EXAMPLE, "SystemDisk.Size": size})
    assert answer.code == (f"InvalidSystemDiskSize.{code}" if code else "")


@pytest.mark.parametrize("size", ["4O", "40 ", "0x28", "4e1", "40.0", "٤٠", "forty"])
def test_a_size_is_a_whole_number(emu: Emulated, size: str) -> None:
    assert emu.call("ReplaceSystemDisk", {**EXAMPLE, "SystemDisk.Size": size}).code == "InvalidSystemDiskSize"


def test_windows_needs_40(emu: Emulated) -> None:
    emu.told("PATCH", f"instances/{ME}", {"SystemDisk": {"Size": 20}})
    answer = emu.call("ReplaceSystemDisk", {**EXAMPLE, "ImageId": WINDOWS, "SystemDisk.Size": "39"})
    assert answer.code == "InvalidSystemDiskSize.LessThanMinSize"


def test_what_belonged_to_the_old_disk_goes(emu: Emulated) -> None:
    (policy, *_) = emu.ok("DescribeAutoSnapshotPolicyEx")["AutoSnapshotPolicies"]["AutoSnapshotPolicy"]
    (old,) = emu.disks(ME)
    policy_id = policy["AutoSnapshotPolicyId"]
    emu.ok("ApplyAutoSnapshotPolicy", autoSnapshotPolicyId=policy_id, diskIds=json.dumps([old["DiskId"]]))
    tag = {"ResourceType": "disk", "ResourceId.1": old["DiskId"], "Tag.1.Key": "cost", "Tag.1.Value": "7"}
    emu.ok("TagResources", tag)
    (old,) = emu.disks(ME)
    assert (old["AutoSnapshotPolicyId"], old["EnableAutomatedSnapshotPolicy"]) == (policy_id, True)
    assert old["Tags"]["Tag"] == [{"TagKey": "cost", "TagValue": "7"}]
    replace(emu)
    emu.pass_time(60)
    (new,) = emu.disks(ME)
    assert (new["AutoSnapshotPolicyId"], new["EnableAutomatedSnapshotPolicy"], new["Tags"]["Tag"]) == ("", False, [])


@pytest.mark.parametrize("delete", [True, False])
def test_automatic_snapshots_go_only_where_the_disk_says_so(emu: Emulated, delete: bool) -> None:
    machines = emu.ok("DescribeSnapshots", SnapshotType="auto", PageSize="100")["Snapshots"]["Snapshot"]
    snapshot = machines[0]
    disk_id = snapshot["SourceDiskId"]
    (disk,) = emu.ok("DescribeDisks", DiskIds=json.dumps([disk_id]))["Disks"]["Disk"]
    instance_id = disk["InstanceId"]
    emu.told("PATCH", f"instances/{instance_id}", {"Status": "Stopped", "SystemDisk": {"DeleteAutoSnapshot": delete}})
    manual = emu.ok("CreateSnapshot", DiskId=disk_id)["SnapshotId"]
    emu.pass_time(120)
    image_id = emu.instance(instance_id)["ImageId"]
    emu.ok("ReplaceSystemDisk", InstanceId=instance_id, ImageId=image_id)
    ids = json.dumps([manual, snapshot["SnapshotId"]])

    def left() -> set[str]:
        return {one["SnapshotId"] for one in emu.ok("DescribeSnapshots", SnapshotIds=ids)["Snapshots"]["Snapshot"]}

    assert left() == {manual, snapshot["SnapshotId"]}
    emu.pass_time(60)
    assert left() == ({manual} if delete else {manual, snapshot["SnapshotId"]})


def test_data_disks_and_addresses_stay(emu: Emulated) -> None:
    (data, *_) = emu.ok("DescribeDisks", DiskType="data")["Disks"]["Disk"]
    instance_id = data["InstanceId"]
    emu.told("PATCH", f"instances/{instance_id}", {"Status": "Stopped"})
    before, disks = emu.instance(instance_id), emu.disks(instance_id, "data")
    emu.ok("ReplaceSystemDisk", InstanceId=instance_id, ImageId=before["ImageId"])
    emu.pass_time(60)
    after = emu.instance(instance_id)
    assert emu.disks(instance_id, "data") == disks
    for name in ("VpcAttributes", "PublicIpAddress", "EipAddress", "NetworkInterfaces", "SerialNumber", "HostName"):
        assert after[name] == before[name]


OTHERS = [
    ({"SecurityEnhancementStrategy": "Active"}, ""),
    ({"SecurityEnhancementStrategy": "Deactive"}, ""),
    ({"SecurityEnhancementStrategy": "active"}, "InvalidParameter"),
    ({"PasswordInherit": "yes"}, "InvalidParameter"),
    ({"ClientToken": "x" * 64}, ""),
    ({"ClientToken": "x" * 65}, "InvalidClientToken.ValueNotSupported"),
    ({"ClientToken": "ключ"}, "InvalidClientToken.ValueNotSupported"),
    ({"RegionId": "cn-nowhere"}, "InvalidRegionId.NotFound"),
    ({"RegionId": "cn-shanghai"}, "InvalidInstanceId.NotFound"),
    ({"PasswordInherit": "false", "Password": PASSWORD}, ""),
    ({"Password": ""}, ""),
]


@pytest.mark.parametrize(("given", "code"), OTHERS)
def test_other_parameters(emu: Emulated, given: dict[str, str], code: str) -> None:
    assert emu.call("ReplaceSystemDisk", {**EXAMPLE, **given}).code == code


def test_nothing_else_may_happen_while_it_runs(emu: Emulated) -> None:
    new = replace(emu)
    for action, values in (
        ("ReplaceSystemDisk", EXAMPLE),
        ("StartInstance", {"InstanceId": ME}),
        ("StopInstance", {"InstanceId": ME}),
        ("RebootInstance", {"InstanceId": ME}),
    ):
        assert emu.call(action, values).code == "IncorrectInstanceStatus"
    emu.pass_time(60)
    assert [one["disk_id"] for one in emu.replacements(ME)] == [new]
    assert replace(emu) != new


def test_the_first_refusal_wins(emu: Emulated) -> None:
    """Take one cause away after the other, and see the next one, in the order of the design."""
    arm = "aliyun_3_arm64_20G_alibase_20240819.vhd"
    emu.told("PATCH", f"images/{arm}", {"IsSupportIoOptimized": False, "DataDiskSnapshots": ["s-1"]})
    state = {
        "Status": "Running",
        "OperationLocks": ["security"],
        "ExpiredTime": "2020-01-01T00:00Z",
        "unpaid_order": True,
        "charge_type_violation": True,
        "internal_error": True,
        "SystemDisk": {"SnapshotInProgress": True},
    }
    emu.told("PATCH", f"instances/{ME}", state)
    request = {"Password": "x", "PasswordInherit": "true", "SystemDisk.Size": "x", "KeyPairName": "x"}
    request |= {"SecurityEnhancementStrategy": "x", "ClientToken": "x" * 65}

    def patch(**fields: Any) -> None:
        emu.told("PATCH", f"instances/{ME}", fields)

    steps: list[tuple[str, Any]] = [
        ("InvalidClientToken.ValueNotSupported", lambda: request.pop("ClientToken")),
        ("MissingParameter", lambda: request.update(InstanceId="i-x")),
        ("MissingParameter", lambda: request.update(ImageId="m-x")),
        ("InvalidPassword.Malformed", lambda: request.update(Password=PASSWORD)),
        ("InvalidPasswordParam.Mismatch", lambda: request.pop("PasswordInherit")),
        ("InvalidSystemDiskSize", lambda: request.update({"SystemDisk.Size": "501"})),
        ("InvalidParameter", lambda: request.pop("SecurityEnhancementStrategy")),
        ("InvalidInstanceId.NotFound", lambda: request.update(InstanceId=ME)),
        ("InvalidImageId.NotFound", lambda: request.update(ImageId=arm)),
        ("NoSuchResource", lambda: request.pop("KeyPairName")),
        ("InstanceLockedForSecurity", lambda: patch(OperationLocks=[])),
        ("Instanceexpiredorinarrears", lambda: patch(ExpiredTime="2099-12-31T15:59Z")),
        ("INST_HAS_UNPAID_ORDER", lambda: patch(unpaid_order=False)),
        ("ChargeTypeViolation", lambda: patch(charge_type_violation=False)),
        ("IncorrectInstanceStatus", lambda: patch(Status="Stopped")),
        ("DiskCreatingSnapshot", lambda: patch(SystemDisk={"SnapshotInProgress": False})),
        ("OperationDenied", lambda: emu.told("PATCH", f"images/{arm}", {"DataDiskSnapshots": []})),
        ("IoOptimized.NotSupported", lambda: emu.told("PATCH", f"images/{arm}", {"IsSupportIoOptimized": True})),
        ("InvalidParameter.Conflict", lambda: patch(InstanceType="ecs.g8y.large")),
        ("InvalidSystemDiskSize.MoreThanMaxSize", lambda: request.update({"SystemDisk.Size": "500"})),
        ("OperationDenied", lambda: patch(internal_error=False)),
        ("", lambda: None),
    ]
    for code, remedy in steps:
        assert emu.call("ReplaceSystemDisk", request).code == code
        remedy()
    assert len(emu.replacements(ME)) == 1


def test_a_vanished_image(emu: Emulated) -> None:
    emu.told("DELETE", "images/m-myimage11")
    assert emu.call("ReplaceSystemDisk", EXAMPLE).code == "InvalidImageId.NotFound"
    assert emu.ok("DescribeImages", ImageId="m-myimage11")["TotalCount"] == 0


def test_the_way_back(emu: Emulated) -> None:
    """Snapshot, image of it, replacement with that image."""
    (old,) = emu.disks(ME)
    snapshot_id = emu.ok("CreateSnapshot", DiskId=old["DiskId"], SnapshotName="before")["SnapshotId"]
    assert emu.call("ReplaceSystemDisk", EXAMPLE).code == "DiskCreatingSnapshot"
    (progress,) = emu.ok("DescribeSnapshots", SnapshotIds=json.dumps([snapshot_id]))["Snapshots"]["Snapshot"]
    assert (progress["Status"], progress["Progress"]) == ("progressing", "0%")
    emu.pass_time(120)
    replace(emu)
    emu.pass_time(60)
    image_id = emu.ok("CreateImage", SnapshotId=snapshot_id, ImageName="before-change")["ImageId"]
    assert emu.call("ReplaceSystemDisk", {**EXAMPLE, "ImageId": image_id}).code == "InvalidImageId.NotFound"
    emu.pass_time(120)
    replace(emu, ImageId=image_id)
    emu.pass_time(60)
    assert emu.instance(ME)["ImageId"] == image_id
    assert emu.call("DeleteSnapshot", SnapshotId=snapshot_id).code == "SnapshotCreatedImage"
    emu.ok("DeleteSnapshot", SnapshotId=snapshot_id, Force="true")
    assert emu.ok("DescribeSnapshots", SnapshotIds=json.dumps([snapshot_id]))["TotalCount"] == 0
