"""What the Describe calls show: shapes and quirks of the real answers, filters, pages."""

import json
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models

from tests.emulator.caller import EXAMPLE, Emulated

ME = EXAMPLE["InstanceId"]
READS: dict[str, dict[str, str]] = {
    "DescribeRegions": {},
    "DescribeInstances": {},
    "DescribeInstanceStatus": {},
    "DescribeDisks": {},
    "DescribeImages": {},
    "DescribeImageSupportInstanceTypes": {"ImageId": "m-myimage11"},
    "DescribeInstanceTypes": {},
    "DescribeKeyPairs": {"IncludePublicKey": "true"},
    "DescribeSnapshots": {},
    "DescribeAutoSnapshotPolicyEx": {},
    "DescribeCloudAssistantStatus": {},
    "DescribeInvocationResults": {},
}
# Fields that the vendor's newest models lack, or have under another name.
OLDER_FIELDS = {"DescribeImageSupportInstanceTypes": {"InstanceTypeId", "InstanceTypeFamily"}}


def unknown_to(model: Any, data: dict[str, Any], path: str = "") -> list[str]:
    """Return the fields that the vendor's own model does not keep when it reads the answer."""
    kept = model().from_map(data).to_map()

    def compare(given: Any, read: Any, path: str) -> list[str]:
        if isinstance(given, dict):
            if not isinstance(read, dict):
                return [path] if given else []
            return [one for key in given for one in compare(given[key], read.get(key), f"{path}.{key}")]
        if isinstance(given, list):
            if not isinstance(read, list) or len(read) != len(given):
                return [path]
            return [one for a, b in zip(given, read, strict=True) for one in compare(a, b, f"{path}[]")]
        return [] if read == given else [path]

    return sorted(set(compare(data, kept, path)))


@pytest.mark.parametrize("action", READS)
def test_every_field_is_one_of_the_vendors(emu: Emulated, action: str) -> None:
    emu.ok("RunCommand", {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": ME})
    data = emu.ok(action, READS[action])
    model = getattr(models, f"{action}ResponseBody")
    strange = [path for path in unknown_to(model, data) if path.rsplit(".", 1)[-1] not in OLDER_FIELDS.get(action, ())]
    assert strange == []


@pytest.mark.parametrize("action", READS)
def test_xml_says_the_same(emu: Emulated, action: str) -> None:
    data = emu.ok(action, READS[action])
    status, root = emu.xml(action, {"RegionId": "cn-hangzhou", **READS[action]})
    assert status == 200
    assert root.tag == f"{action}Response"

    def same(value: Any, elements: list[Any]) -> None:
        if isinstance(value, list):
            assert len(elements) == len(value)
            for one, element in zip(value, elements, strict=True):
                same(one, [element])
            return
        (element,) = elements
        if isinstance(value, dict):
            assert {child.tag for child in element} == {key for key, one in value.items() if one != []}
            for key, one in value.items():
                same(one, element.findall(key))
        else:
            text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
            assert (element.text or "") == text

    for key in data.keys() - {"RequestId"}:
        same(data[key], root.findall(key))


def test_quirks_of_an_instance(emu: Emulated) -> None:
    emu.told("PATCH", f"instances/{ME}", {"Tags": {}, "KeyPairName": "", "OperationLocks": ["security"]})
    one = emu.instance(ME)
    assert "Tags" not in one
    assert "KeyPairName" not in one
    assert one["OperationLocks"] == {"LockReason": [{"LockReason": "security", "LockMsg": ""}]}
    assert one["CreationTime"].endswith("Z")
    assert len(one["CreationTime"]) == len("2024-04-14T22:32Z")
    assert one["ExpiredTime"] == "2099-12-31T15:59Z"
    assert one["InstanceTypeFamily"] == "ecs.g7"
    assert one["Memory"] == 8192
    assert one["EipAddress"] == {"AllocationId": "", "IpAddress": "", "InternetChargeType": ""}
    assert one["OSName"] == "CentOS  7.9 64位"
    assert one["HostName"] == "iZ23jggx34bZ"


def test_quirks_of_a_disk(emu: Emulated) -> None:
    (disk,) = emu.disks(ME)
    assert disk["Tags"] == {"Tag": []}
    assert disk["OperationLocks"] == {"OperationLock": []}
    assert len(disk["CreationTime"]) == len("2024-04-16T02:11:02Z")
    assert disk["ExpiredTime"] == "2999-09-08T16:00Z"
    assert disk["SerialNumber"] == disk["DiskId"].removeprefix("d-")
    assert (disk["IOPS"], disk["Throughput"], disk["Device"], disk["Portable"]) == (3800, 140, "/dev/xvda", True)


def test_quirks_of_an_image(emu: Emulated) -> None:
    tag = {"Tag.1.Key": "case", "Tag.1.Value": "OperationDenied.400"}
    (image,) = emu.ok("DescribeImages", tag)["Images"]["Image"]
    assert image["Size"] == 20
    sizes = [(one["Type"], one["Size"]) for one in image["DiskDeviceMappings"]["DiskDeviceMapping"]]
    assert sizes == [("system", "20"), ("data", "100")]
    assert image["IsSelfShared"] == "False"


def test_images_that_fit_a_change(emu: Emulated) -> None:
    for type_id, architectures in (("ecs.g7.large", {"x86_64"}), ("ecs.g8y.large", {"arm64"})):
        asked = {"ActionType": "ChangeOS", "InstanceType": type_id, "PageSize": "100"}
        images = emu.ok("DescribeImages", asked)["Images"]["Image"]
        assert {one["Architecture"] for one in images} == architectures
        for image in images:
            answer = emu.ok("DescribeImageSupportInstanceTypes", ImageId=image["ImageId"], ActionType="ChangeOS")
            assert type_id in {one["InstanceTypeId"] for one in answer["InstanceTypes"]["InstanceType"]}


FILTERS = [
    {"Status": "Stopped"},
    {"InstanceName": "web-prod-*"},
    {"InstanceName": "*[*"},
    {"InstanceType": "ecs.g7.large"},
    {"InstanceTypeFamily": "ecs.c7"},
    {"ImageId": "centos_7_9_x64_20G_alibase_20240628.vhd"},
    {"KeyPairName": "ops-2024"},
    {"ZoneId": "cn-hangzhou-k"},
    {"InstanceChargeType": "PrePaid"},
    {"IoOptimized": "true"},
    {"LockReason": "security"},
    {"Tag.1.Key": "service"},
    {"Tag.1.Key": "service", "Tag.1.Value": "web", "Tag.2.Key": "env", "Tag.2.Value": "staging"},
    {"VpcId": "vpc-emu-cn-hangzhou"},
    {"PrivateIpAddresses": '["172.16.0.0"]'},
    {"InstanceIds": "[]"},
]


def matches(one: dict[str, Any], name: str, value: str) -> bool:
    tags = {tag["TagKey"]: tag["TagValue"] for tag in one.get("Tags", {"Tag": []})["Tag"]}
    match name:
        case "InstanceName":
            return "[" in one[name] if "[" in value else one[name].startswith(value.rstrip("*"))
        case "IoOptimized":
            return bool(one[name])
        case "LockReason":
            return any(lock["LockReason"] == value for lock in one["OperationLocks"]["LockReason"])
        case "VpcId":
            return bool(one["VpcAttributes"]["VpcId"] == value)
        case "PrivateIpAddresses":
            return one["VpcAttributes"]["PrivateIpAddress"]["IpAddress"] == json.loads(value)
        case "InstanceIds":
            return False
        case "Tag.1.Key" | "Tag.2.Key":
            return value in tags
        case "Tag.1.Value" | "Tag.2.Value":
            return value in tags.values()
    return bool(one.get(name) == value)


@pytest.mark.parametrize("asked", FILTERS, ids=[str(one) for one in FILTERS])
@pytest.mark.parametrize("paging", [{"PageSize": "100"}, {"MaxResults": "100"}])
def test_filters_of_instances(emu: Emulated, asked: dict[str, str], paging: dict[str, str]) -> None:
    everything = emu.ok("DescribeInstances", PageSize="100")["Instances"]["Instance"]
    assert len(everything) < 100
    found = emu.ok("DescribeInstances", {**asked, **paging})["Instances"]["Instance"]
    assert found == [one for one in everything if all(matches(one, key, value) for key, value in asked.items())]


def test_tagging(emu: Emulated) -> None:
    request = {"ResourceType": "instance", "ResourceId.1": ME, "Tag.1.Key": "env", "Tag.1.Value": "lab"}
    emu.ok("TagResources", request)
    shown = emu.instance(ME)["Tags"]["Tag"]
    assert {"TagKey": "env", "TagValue": "lab"} in shown
    assert {"TagKey": "service", "TagValue": "web"} in shown
    wrong = [
        ({"ResourceType": "planet"}, "InvalidResourceType.NotFound"),
        ({"ResourceId.2": "i-nobody"}, "InvalidResourceId.NotFound"),
        ({f"ResourceId.{n}": f"i-{n}" for n in range(60)}, "NumberExceed.ResourceIds"),
        ({f"Tag.{n}.Key": f"k{n}" for n in range(1, 22)}, "NumberExceed.Tags"),
        ({f"Tag.{n}.Key": f"k{n}" for n in range(1, 20)}, "NumberExceed.Tags"),
        ({"Tag.1.Key": "k" * 129}, "InvalidTagKey.Malformed"),
        ({"Tag.1.Key": ""}, "MissingParameter"),
    ]
    for change, code in wrong:
        answer = emu.call("TagResources", {"RegionId": "cn-hangzhou", **request, **change})
        assert answer.code == code
        assert emu.instance(ME)["Tags"]["Tag"] == shown
