"""Pages of the Describe calls: by token and by number, the limits of both, and the region that a call means."""

import json

import pytest

from fleet.emulator.contract.registry import ACTIONS
from tests.emulator.caller import Emulated

LISTS = {
    "DescribeInstances": ("Instances", "Instance", "InstanceId"),
    "DescribeDisks": ("Disks", "Disk", "DiskId"),
    "DescribeImages": ("Images", "Image", "ImageId"),
    "DescribeInstanceTypes": ("InstanceTypes", "InstanceType", "InstanceTypeId"),
    "DescribeSnapshots": ("Snapshots", "Snapshot", "SnapshotId"),
    "DescribeCloudAssistantStatus": ("InstanceCloudAssistantStatusSet", "InstanceCloudAssistantStatus", "InstanceId"),
    "DescribeInstanceStatus": ("InstanceStatuses", "InstanceStatus", "InstanceId"),
}


@pytest.mark.parametrize("action", [one for one in LISTS if one not in ("DescribeImages", "DescribeInstanceStatus")])
def test_pages_by_token_give_each_thing_once(emu: Emulated, action: str) -> None:
    outer, inner, id = LISTS[action]
    seen: list[str] = []
    token = ""
    for _ in range(50):
        answer = emu.ok(action, {"MaxResults": "10", "NextToken": token})
        page = [one[id] for one in answer[outer][inner]]
        assert len(page) <= 10
        seen += page
        token = answer["NextToken"]
        if not token:
            break
    whole = emu.ok(action, {"MaxResults": "50"})
    assert len(seen) == len(set(seen))
    assert seen[:50] == [one[id] for one in whole[outer][inner]]


@pytest.mark.parametrize("action", [one for one in LISTS if one != "DescribeInstanceTypes"])
def test_pages_by_number_give_each_thing_once(emu: Emulated, action: str) -> None:
    outer, inner, id = LISTS[action]
    seen: list[str] = []
    number = 1
    while True:
        answer = emu.ok(action, {"PageSize": "7", "PageNumber": str(number)})
        assert (answer["PageNumber"], answer["PageSize"]) == (number, 7)
        seen += [one[id] for one in answer[outer][inner]]
        if number * 7 >= answer["TotalCount"]:
            break
        number += 1
    assert len(seen) == len(set(seen)) == answer["TotalCount"]


LIMITS = [
    ("DescribeInstances", {"PageSize": "101"}, 400),
    ("DescribeInstances", {"PageSize": "100"}, 200),
    ("DescribeInstances", {"PageSize": "0"}, 400),
    ("DescribeInstances", {"PageNumber": "0"}, 400),
    ("DescribeInstances", {"PageNumber": "x"}, 400),
    ("DescribeInstances", {"MaxResults": "101"}, 400),
    ("DescribeInstances", {"MaxResults": "-1"}, 400),
    ("DescribeInstances", {"NextToken": "nonsense"}, 400),
    ("DescribeInstances", {"NextToken": "ZW11Oi0x"}, 400),
    ("DescribeDisks", {"MaxResults": "500"}, 200),
    ("DescribeDisks", {"MaxResults": "501"}, 400),
    ("DescribeKeyPairs", {"PageSize": "50"}, 200),
    ("DescribeKeyPairs", {"PageSize": "51"}, 400),
    ("DescribeInstanceStatus", {"PageSize": "51"}, 400),
    ("DescribeSnapshots", {"MaxResults": "101"}, 400),
    ("DescribeInvocationResults", {"MaxResults": "51"}, 400),
    ("DescribeCloudAssistantStatus", {"MaxResults": "51"}, 400),
    ("DescribeInstances", {"InstanceIds": json.dumps([f"i-{n}" for n in range(100)])}, 200),
    ("DescribeInstances", {"InstanceIds": json.dumps([f"i-{n}" for n in range(101)])}, 400),
    ("DescribeInstances", {"InstanceIds": "i-1"}, 400),
    ("DescribeInstances", {"InstanceIds": "[1]"}, 400),
    ("DescribeInstances", {"InstanceIds": "[" * 100_000}, 400),
    ("DescribeDisks", {"DiskIds": json.dumps([f"d-{n}" for n in range(101)])}, 403),
    ("DescribeSnapshots", {"SnapshotIds": json.dumps([f"s-{n}" for n in range(101)])}, 403),
    ("DescribeInstances", {"Status": "Sleeping"}, 400),
    ("DescribeImages", {"Status": "Sleeping"}, 400),
    ("DescribeDisks", {"Status": "Deleted"}, 400),
]


@pytest.mark.parametrize(("action", "asked", "status"), LIMITS, ids=[f"{one[0]}-{str(one[1])[:40]}" for one in LIMITS])
def test_limits(emu: Emulated, action: str, asked: dict[str, str], status: int) -> None:
    response = emu.send(action, where="form", Format="JSON", RegionId="cn-hangzhou", **asked)
    assert response.status_code == status, response.text


def test_fewer_than_ten_by_token_are_ten(emu: Emulated) -> None:
    assert len(emu.ok("DescribeInstances", MaxResults="3")["Instances"]["Instance"]) == 10


@pytest.mark.parametrize("action", [name for name, one in ACTIONS.items() if one.scope == "region"])
def test_a_region_must_be_named_and_exist(emu: Emulated, action: str) -> None:
    assert emu.call(action).code == "MissingParameter"
    answer = emu.call(action, RegionId="xx-nowhere")
    assert (answer.status, answer.code) == (404, "InvalidRegionId.NotFound")
