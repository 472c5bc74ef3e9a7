"""What the Describe calls show: shapes and quirks of the real answers, filters, pages."""

import json
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models

from fleet.emulator.registry import ACTIONS
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


def test_cloud_assistant(emu: Emulated) -> None:
    emu.told("PUT", "durations", {"start": 0})
    emu.ok("StartInstance", InstanceId=ME)
    windows_and_linux = emu.ok("DescribeCloudAssistantStatus", {"InstanceId.1": ME})
    (agent,) = windows_and_linux["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
    assert (agent["CloudAssistantStatus"], agent["OSType"]) == ("true", "Linux")
    stopped = emu.tagged("DiskCreatingSnapshot")
    request = {
        "Type": "RunShellScript",
        "CommandContent": "ZWNobw==",
        "ContentEncoding": "Base64",
        "KeepCommand": "true",
    }
    sent = emu.ok("RunCommand", {**request, "InstanceId.1": ME, "InstanceId.2": stopped})

    def results(invoke_id: str) -> dict[str, dict[str, Any]]:
        answer = emu.ok("DescribeInvocationResults", InvokeId=invoke_id)["Invocation"]["InvocationResults"]
        return {one["InstanceId"]: one for one in answer["InvocationResult"]}

    first = results(sent["InvokeId"])
    assert first[ME]["InvokeRecordStatus"] == "Running"
    assert (first[stopped]["InvocationStatus"], first[stopped]["ErrorCode"]) == ("Aborted", "InstanceNotRunning")
    emu.pass_time(2)
    done = results(sent["InvokeId"])[ME]
    assert (done["InvokeRecordStatus"], done["InvocationStatus"], done["ExitCode"]) == ("Finished", "Success", 0)
    assert done["Output"] == "b2sK"
    again = emu.ok("InvokeCommand", {"CommandId": sent["CommandId"], "InstanceId.1": ME})
    assert results(again["InvokeId"])[ME]["InvokeRecordStatus"] == "Running"
    emu.told("POST", "faults", {"kind": "stuck", "action": "InvokeCommand"})
    late = emu.ok("InvokeCommand", {"CommandId": sent["CommandId"], "InstanceId.1": ME, "Timeout": "100"})
    emu.pass_time(99)
    assert results(late["InvokeId"])[ME]["InvocationStatus"] == "Running"
    emu.pass_time(1)
    assert results(late["InvokeId"])[ME]["InvocationStatus"] == "Timeout"
    for change, code in (
        ({"Type": "RunPoem"}, "InvalidCommand.TypeNotSupported"),
        ({"CommandContent": "%%%"}, "CmdContent.DecodeError"),
        ({"CommandContent": "A" * 30000}, "CmdContent.ExceedLimit"),
        ({"Timeout": "0"}, "InvalidTimeout"),
        ({"InstanceId.2": "i-nobody"}, "InvalidInstanceId.NotFound"),
        ({"InstanceId.1": ""}, "MissingParameter"),
    ):
        values = {"RegionId": "cn-hangzhou", **request, "InstanceId.1": ME, **change}
        response = emu.send("RunCommand", where="form", Format="JSON", **values)
        assert response.json is not None
        assert response.json["Code"] == code
    assert emu.call("InvokeCommand", {"CommandId": "c-none", "InstanceId.1": ME}).code == "InvalidCommandId.NotFound"
