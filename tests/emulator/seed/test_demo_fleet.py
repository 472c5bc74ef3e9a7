"""The demo fleet is believable, the same each time, and holds a machine or an image for each refusal by state."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.emulator.caller import EXAMPLE, START, Emulated
from tests.emulator.conftest import Make

REGIONS = ("cn-hangzhou", "cn-shanghai", "ap-southeast-1")
INSTANCE_CASES = {
    "ChargeTypeViolation": "ChargeTypeViolation",
    "DiskCreatingSnapshot": "DiskCreatingSnapshot",
    "IncorrectInstanceStatus": "IncorrectInstanceStatus",
    "INST_HAS_UNPAID_ORDER": "INST_HAS_UNPAID_ORDER",
    "Instanceexpiredorinarrears": "Instanceexpiredorinarrears",
    "InstanceLockedForSecurity": "InstanceLockedForSecurity",
    "OperationDenied.500": "OperationDenied",
}
IMAGE_CASES = {
    "InvalidParameter.Conflict": "InvalidParameter.Conflict",
    "InvalidSystemDiskSize.ImageNotSupportResize": "InvalidSystemDiskSize.ImageNotSupportResize",
    "OperationDenied.400": "OperationDenied",
    "ImageNotSubscribed": "ImageNotSubscribed",
    "ImageNotSupportInstanceType": "ImageNotSupportInstanceType",
    "ImageRemovedInMarket": "ImageRemovedInMarket",
    "IoOptimized.NotSupported": "IoOptimized.NotSupported",
    "QuotaExceed.BuyImage": "QuotaExceed.BuyImage",
}


@pytest.fixture(scope="module")
def demo() -> Emulated:
    return Emulated.make(instances=300)


def everything(emu: Emulated, action: str, outer: str, inner: str, **more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for region in REGIONS:
        page = 1
        while True:
            answer = emu.ok(action, {"RegionId": region, "PageSize": "50", "PageNumber": str(page), **more})
            found += answer[outer][inner]
            if page * 50 >= answer["TotalCount"]:
                break
            page += 1
    return found


def tags(one: dict[str, Any]) -> dict[str, str]:
    return {tag["TagKey"]: tag["TagValue"] for tag in one.get("Tags", {"Tag": []})["Tag"]}


@pytest.fixture(scope="module")
def machines(demo: Emulated) -> list[dict[str, Any]]:
    return everything(demo, "DescribeInstances", "Instances", "Instance")


def test_tagged_instances_are_exactly_the_rows_by_instance(machines: list[dict[str, Any]]) -> None:
    found = Counter(tags(one)["case"] for one in machines if "case" in tags(one))
    assert found == dict.fromkeys(INSTANCE_CASES, 1)


@pytest.mark.parametrize("case", INSTANCE_CASES)
def test_a_tagged_instance_meets_its_error_with_its_own_image(demo: Emulated, case: str) -> None:
    instance = demo.instance(demo.tagged(case))
    request = {"InstanceId": instance["InstanceId"], "ImageId": instance["ImageId"]}
    assert demo.call("ReplaceSystemDisk", request).code == INSTANCE_CASES[case]


def plain(one: dict[str, Any], status: str) -> bool:
    return (
        one["OSType"] == "linux"
        and one["Status"] == status
        and one["InstanceType"].split(".")[1] not in ("g8y", "c8y", "g6r")
        and "case" not in tags(one)
        and not one["OperationLocks"]["LockReason"]
    )


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("case", IMAGE_CASES)
def test_a_tagged_image_is_met_by_every_plain_stopped_machine_of_its_region(
    demo: Emulated, machines: list[dict[str, Any]], region: str, case: str
) -> None:
    images = everything(demo, "DescribeImages", "Images", "Image", **{"Tag.1.Key": "case", "Tag.1.Value": case})
    (image,) = [one for one in images if demo.provider.regions[region].images.get(one["ImageId"])]
    stopped = [one for one in machines if one["RegionId"] == region and plain(one, "Stopped")]
    for machine in stopped:
        request = {"InstanceId": machine["InstanceId"], "ImageId": image["ImageId"]}
        assert demo.call("ReplaceSystemDisk", request).code == IMAGE_CASES[case]
    assert len(stopped) >= (4 if region == "cn-hangzhou" else 0)


def test_tagged_images_are_exactly_the_rows_by_image(demo: Emulated) -> None:
    images = everything(demo, "DescribeImages", "Images", "Image", Status="ALL")
    assert Counter(tags(one)["case"] for one in images if "case" in tags(one)) == dict.fromkeys(IMAGE_CASES, 3)


def test_the_fleet_is_believable(machines: list[dict[str, Any]]) -> None:
    assert len(machines) == 300
    assert len({one["InstanceId"] for one in machines}) == 300
    for field, least in (("RegionId", 3), ("OSType", 2), ("InstanceChargeType", 2), ("OSNameEn", 15), ("Status", 2)):
        assert len({one[field] for one in machines}) >= least, field
    assert sum(one["InstanceTypeFamily"] in ("ecs.g8y", "ecs.c8y", "ecs.g6r") for one in machines) >= 5
    for name, least in (("service", 8), ("env", 3), ("team", 3)):
        assert len({tags(one).get(name) for one in machines}) >= least
    allowed = sum(tags(one).get("fleet-os") == "allowed" for one in machines)
    assert 200 <= allowed < 300
    ages = [datetime.fromisoformat(one["CreationTime"].replace("Z", ":00+00:00")) for one in machines]
    assert max(ages) < datetime.fromtimestamp(START, UTC)
    assert any(one["StoppedMode"] == "StopCharging" for one in machines)


def test_forty_plain_machines_to_work_with(demo: Emulated, machines: list[dict[str, Any]]) -> None:
    sizes = {
        one["InstanceId"]: one["Size"] for one in everything(demo, "DescribeDisks", "Disks", "Disk", DiskType="system")
    }
    good = [
        one
        for one in machines
        if plain(one, "Running")
        and one["RegionId"] == "cn-hangzhou"
        and tags(one).get("service") == "web"
        and tags(one).get("env") == "prod"
        and sizes[one["InstanceId"]] == 40
    ]
    assert len(good) >= 40


def test_images_of_every_owner_and_some_past_their_end(demo: Emulated) -> None:
    images = everything(demo, "DescribeImages", "Images", "Image")
    assert {one["ImageOwnerAlias"] for one in images} == {"system", "self", "others", "marketplace"}
    assert len({one["Platform"] for one in images}) >= 10
    names = {one["OSNameEn"] for one in images}
    assert {"CentOS  7.9 64 bit", "Ubuntu  18.04 64 bit"} <= names
    assert {one["Status"] for one in everything(demo, "DescribeImages", "Images", "Image", Status="ALL")} >= {
        "Available",
        "Deprecated",
    }


def test_no_machine_runs_an_image_made_for_a_case_or_unfit(demo: Emulated, machines: list[dict[str, Any]]) -> None:
    images = {one["ImageId"]: one for one in everything(demo, "DescribeImages", "Images", "Image", Status="ALL")}
    for one in machines:
        image = images[one["ImageId"]]
        assert "case" not in tags(image)
        assert image["OSNameEn"] == one["OSNameEn"]
        assert (image["Architecture"] == "arm64") == (one["InstanceTypeFamily"] in ("ecs.g8y", "ecs.c8y", "ecs.g6r"))


@pytest.mark.parametrize("region", REGIONS)
def test_key_pairs_and_policies_in_every_region(demo: Emulated, region: str) -> None:
    pairs = demo.ok("DescribeKeyPairs", {"RegionId": region})["KeyPairs"]["KeyPair"]
    assert {"ops-2026", "ops-2024"} <= {one["KeyPairName"] for one in pairs}
    policies = demo.ok("DescribeAutoSnapshotPolicyEx", {"RegionId": region})["AutoSnapshotPolicies"]
    assert sum(one["DiskNums"] for one in policies["AutoSnapshotPolicy"]) > 0


def test_the_same_seed_makes_the_same_fleet(make: Make) -> None:
    def ids(emu: Emulated) -> list[str]:
        found = everything(emu, "DescribeInstances", "Instances", "Instance")
        return [f"{one['InstanceId']} {one['ImageId']} {one['InstanceType']}" for one in found]

    first, again, other = (ids(make(instances=60, seed=seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert EXAMPLE["InstanceId"] in " ".join(other)


@pytest.mark.parametrize("count", [0, 1, 2, 19, 20, 100])
def test_exactly_as_many_as_asked_for(emu: Emulated, count: int) -> None:
    assert emu.told("POST", "reset", {"instances": count})["instances"] == count
    assert sum(emu.ok("DescribeInstances", {"RegionId": one})["TotalCount"] for one in REGIONS) == count


def test_a_plain_fleet_in_one_region(emu: Emulated) -> None:
    emu.told("POST", "reset", {"instances": 80, "regions": ["cn-hangzhou"], "plain": True})
    found = everything(emu, "DescribeInstances", "Instances", "Instance")
    assert {one["RegionId"] for one in found} == {"cn-hangzhou"}
    assert sum(plain(one, "Running") and one["InstanceName"].startswith("web-prod") for one in found) == 68
