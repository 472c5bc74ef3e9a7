"""Clients that nobody here wrote, each signing for itself, against the emulator as a process."""

import http.client
import importlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient

from tests.emulator.caller import EXAMPLE
from tests.emulator.running import Running, running

pytestmark = [
    pytest.mark.process,
    # The clients' own, on a newer Python than they were written for.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]
ME = EXAMPLE["InstanceId"]
PASSWORD = "Aa1~!@#$%^&*-+=|{}[]:;'<>,.?/"
Sdk = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def process() -> Iterator[Running]:
    with running(instances=60) as emulator:
        yield emulator


@pytest.fixture
def emulator(process: Running) -> Running:
    process.control("POST", "reset", {})
    process.control("PUT", "durations", {"stop": 0, "start": 0, "replace": 0, "snapshot": 0, "image": 0})
    return process


@pytest.fixture
def sdk(emulator: Running, monkeypatch: pytest.MonkeyPatch) -> Sdk:
    """The official SDK: v1, POST, everything in the address, Python's True and False."""
    for name in ("HTTP_PROXY", "http_proxy", "ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    client = AcsClient("emulator", "emulator-secret", "cn-hangzhou", auto_retry=False, timeout=10)

    def call(action: str, body: dict[str, str] | None = None, **values: Any) -> dict[str, Any]:
        module = importlib.import_module(f"aliyunsdkecs.request.v20140526.{action}Request")
        request = getattr(module, f"{action}Request")()
        request.set_endpoint(f"127.0.0.1:{emulator.port}")
        for name, value in values.items():
            getattr(request, f"set_{name}")(value)
        for name, value in (body or {}).items():
            request.add_body_params(name, value)
        return dict(json.loads(client.do_action_with_exception(request)))

    return call


def test_official_sdk_replaces_a_disk(emulator: Running, sdk: Sdk) -> None:
    before = sdk("DescribeInstances", InstanceIds=json.dumps([ME]))["Instances"]["Instance"][0]
    assert before["Status"] == "Stopped"
    answer = sdk(
        "ReplaceSystemDisk",
        InstanceId=ME,
        ImageId=EXAMPLE["ImageId"],
        SystemDiskSize=50,
        PasswordInherit=False,
        UseAdditionalService=True,
        ClientToken="sdk-1",
        body={"Password": PASSWORD},
    )
    disks = sdk("DescribeDisks", InstanceId=ME, DiskType="system")["Disks"]["Disk"]
    assert [(one["DiskId"], one["Size"], one["Status"]) for one in disks] == [(answer["DiskId"], 50, "In_use")]
    sdk("StartInstances", InstanceIds=[ME], BatchOptimization="SuccessFirst")
    assert sdk("DescribeInstanceStatus", InstanceIds=[ME])["InstanceStatuses"]["InstanceStatus"] == [
        {"InstanceId": ME, "Status": "Running"}
    ]
    sdk("StopInstances", InstanceIds=[ME], ForceStop=True, StoppedMode="KeepCharging")
    policy = sdk("DescribeAutoSnapshotPolicyEx")["AutoSnapshotPolicies"]["AutoSnapshotPolicy"][0][
        "AutoSnapshotPolicyId"
    ]
    sdk("ApplyAutoSnapshotPolicy", autoSnapshotPolicyId=policy, diskIds=json.dumps([answer["DiskId"]]))
    sdk("TagResources", ResourceType="disk", ResourceIds=[answer["DiskId"]], Tags=[{"Key": "a b", "Value": "ä*~"}])
    (disk,) = sdk("DescribeDisks", DiskIds=json.dumps([answer["DiskId"]]))["Disks"]["Disk"]
    assert disk["AutoSnapshotPolicyId"] == policy
    assert disk["Tags"]["Tag"] == [{"TagKey": "a b", "TagValue": "ä*~"}]
    assert emulator.control("GET", f"ledger?instance={ME}")["logins"][ME]["password_login"] is True
    entries = emulator.control("GET", "journal")["entries"]
    assert all(entry["unknown"] == [] for entry in entries)
    assert next(one for one in entries if one["action"] == "ReplaceSystemDisk")["params"]["Password"] == "***"


def test_official_sdk_reads_an_error(sdk: Sdk) -> None:
    with pytest.raises(ServerException) as caught:
        sdk("ReplaceSystemDisk", InstanceId=ME, ImageId="m-none")
    assert caught.value.get_error_code() == "InvalidImageId.NotFound"
    assert caught.value.get_error_msg() == "The specified ImageId does not exist."
    assert caught.value.get_http_status() == 404
    assert caught.value.get_request_id()


def test_official_sdk_says_which_secret_is_wrong(emulator: Running, sdk: Sdk) -> None:
    """The SDK compares the string to sign in our message with its own, and stumbles if there is none."""
    client = AcsClient("emulator", "wrong", "cn-hangzhou", auto_retry=False)
    module = importlib.import_module("aliyunsdkecs.request.v20140526.DescribeRegionsRequest")
    request = module.DescribeRegionsRequest()
    request.set_endpoint(f"127.0.0.1:{emulator.port}")
    with pytest.raises(ServerException) as caught:
        client.do_action_with_exception(request)
    assert caught.value.get_error_code() == "InvalidAccessKeySecret"


@pytest.mark.parametrize("algorithm", ["v3", "v2"])
def test_newest_client(emulator: Running, algorithm: str) -> None:
    """Tea: v3 with its own choice of signed headers, and by `v2` the old signature."""
    client_module = importlib.import_module("alibabacloud_ecs20140526.client")
    models = importlib.import_module("alibabacloud_ecs20140526.models")
    openapi = importlib.import_module("alibabacloud_tea_openapi.models")
    config = openapi.Config(
        access_key_id="emulator",
        access_key_secret="emulator-secret",
        endpoint=f"127.0.0.1:{emulator.port}",
        protocol="HTTP",
        region_id="cn-hangzhou",
    )
    if algorithm == "v2":
        config.signature_algorithm = "v2"
    client = client_module.Client(config)
    asked = models.DescribeInstancesRequest(
        region_id="cn-hangzhou",
        page_size=100,
        instance_name="web-prod-*",
        tag=[models.DescribeInstancesRequestTag(key="env")],
    )
    found = client.describe_instances(asked).body
    assert found.total_count == len(found.instances.instance) > 10
    first = found.instances.instance[0]
    assert first.tags.tag[0].tag_key == "service"
    assert first.memory >= 2048
    request = models.ReplaceSystemDiskRequest(
        instance_id=ME, image_id=EXAMPLE["ImageId"], password=PASSWORD, client_token="tea 1*~", password_inherit=False
    )
    request.system_disk = models.ReplaceSystemDiskRequestSystemDisk(size=60)
    disk_id = client.replace_system_disk(request).body.disk_id
    assert client.replace_system_disk(request).body.disk_id == disk_id
    disks = client.describe_disks(
        models.DescribeDisksRequest(region_id="cn-hangzhou", disk_ids=json.dumps([disk_id]))
    ).body
    assert [(one.disk_id, one.size) for one in disks.disks.disk] == [(disk_id, 60)]
    stop = models.StartInstancesRequest(region_id="cn-hangzhou", instance_id=[ME], batch_optimization="SuccessFirst")
    assert client.start_instances(stop).body.instance_responses.instance_response[0].code == "200"
    bad = models.ReplaceSystemDiskRequest(instance_id=ME, image_id="m-none")
    with pytest.raises(Exception, match=r"InvalidImageId\.NotFound") as caught:
        client.replace_system_disk(bad)
    assert getattr(caught.value, "code", "") == "InvalidImageId.NotFound"


def test_apache_libcloud(emulator: Running) -> None:
    """GET, XML, its own signer."""
    providers = importlib.import_module("libcloud.compute.providers")
    types = importlib.import_module("libcloud.compute.types")
    common = importlib.import_module("libcloud.common.exceptions")
    driver = providers.get_driver(types.Provider.ALIYUN_ECS)(
        "emulator", "emulator-secret", secure=False, host="127.0.0.1", port=emulator.port, region="cn-hangzhou"
    )
    nodes = driver.list_nodes()
    assert len(nodes) == emulator.call("DescribeInstances", RegionId="cn-hangzhou").data["TotalCount"]
    me = next(node for node in nodes if node.id == ME)
    assert me.state == "stopped"
    assert {one.id for one in driver.list_locations()} == {"cn-hangzhou", "cn-shanghai", "ap-southeast-1"}
    assert {one.id for one in driver.list_images()} >= {"m-myimage11"}
    assert {size.id for size in driver.list_sizes()} >= {"ecs.g7.large"}
    (volume,) = [one for one in driver.list_volumes() if one.id == "d-23jbf2v5l"]
    assert volume.size == 40
    driver.ex_start_node(me)
    assert next(node for node in driver.list_nodes() if node.id == ME).state == "running"
    assert driver.reboot_node(me)
    assert driver.ex_stop_node(me, ex_force_stop=True)
    snapshot = driver.create_volume_snapshot(volume, name="by libcloud")
    assert snapshot.id in {one.id for one in driver.list_volume_snapshots(volume)}
    image = driver.create_image(me, "by-libcloud", ex_snapshot_id=snapshot.id)
    assert image.name == "by-libcloud"
    with pytest.raises(common.BaseHTTPError, match=r"IncorrectInstanceStatus"):
        driver.ex_stop_node(me)


def test_a_lost_answer_looks_like_one(emulator: Running, sdk: Sdk) -> None:
    emulator.control("POST", "faults", {"kind": "commit_then_drop", "action": "ReplaceSystemDisk"})
    with pytest.raises(Exception, match=r"SDK\.HttpError"):
        sdk("ReplaceSystemDisk", InstanceId=ME, ImageId=EXAMPLE["ImageId"], ClientToken="t")
    answer = sdk("ReplaceSystemDisk", InstanceId=ME, ImageId=EXAMPLE["ImageId"], ClientToken="t")
    disks = emulator.control("GET", f"ledger?instance={ME}")["disks"]
    assert [one["disk_id"] for one in disks if one["how"] != "seed"] == [answer["DiskId"]]


@pytest.mark.parametrize("kind", ["drop", "commit_then_drop"])
def test_a_dropped_answer_is_a_closed_connection(emulator: Running, kind: str) -> None:
    """A client need not wait for its own time limit to learn that no answer comes."""
    emulator.control("POST", "faults", {"kind": kind})
    began = time.monotonic()
    with pytest.raises(http.client.RemoteDisconnected):
        emulator.call("DescribeRegions")
    assert time.monotonic() - began < 5


def test_a_delay_delays(emulator: Running) -> None:
    emulator.control("POST", "faults", {"kind": "delay", "seconds": 0.5})
    began = time.monotonic()
    assert emulator.call("DescribeRegions").status == 200
    assert time.monotonic() - began >= 0.5
