"""DescribeInstances and DescribeInstanceStatus."""

from collections.abc import Callable
from typing import Any

from fleet.emulator.actions.instance_view import instance_view
from fleet.emulator.contract.call import Call
from fleet.emulator.contract.matching import all_of, check_dry_run, name_matches, tags_match
from fleet.emulator.contract.paging import cut, page_of
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import common_error, not_valid
from fleet.emulator.world.catalogue import type_facts
from fleet.emulator.world.resources import Instance

Test = Callable[[Instance], bool]
Read = Callable[[dict[str, Any]], list[str]]
STATUSES = ("Pending", "Running", "Starting", "Stopping", "Stopped")


@action(
    "DescribeInstances",
    scope="region",
    honoured=(
        "InstanceIds Status InstanceName InstanceType InstanceTypeFamily ImageId KeyPairName ZoneId VpcId VSwitchId "
        "SecurityGroupId InstanceChargeType InternetChargeType InstanceNetworkType IoOptimized LockReason Tag.N.Key "
        "Tag.N.Value PrivateIpAddresses PublicIpAddresses EipAddresses PageNumber PageSize NextToken MaxResults DryRun"
    ),
    ignored=(
        "InnerIpAddresses HpcClusterId HttpPutResponseHopLimit HttpEndpoint HttpTokens ResourceGroupId "
        "DeviceAvailable NeedSaleCycle AdditionalAttributes.N Ipv6Address.N RdmaIpAddresses Filter.N.Key "
        "Filter.N.Value"
    ),
)
def describe_instances(call: Call) -> Answer:
    """List instances; InstanceIds=[] is a filter that matches nothing."""
    check_dry_run(call.params)
    region = call.region
    ids = call.params.json_list("InstanceIds", error=common_error("InvalidInstanceIds.Malformed"))
    page = page_of(call.params, tokens=True)
    wanted = all_of(_tests(call))
    among = region.instance_order if ids is None else [region.instances[i] for i in ids if i in region.instances]
    found, fields = cut(page, among, wanted)
    return {"Instances": {"Instance": [instance_view(one, call.now) for one in found]}, **fields}


@action(
    "DescribeInstanceStatus", scope="region", honoured="InstanceId.N ZoneId PageNumber PageSize", ignored="ClusterId"
)
def describe_instance_status(call: Call) -> Answer:
    """List instances with nothing but their status."""
    ids = call.params.repeated("InstanceId")
    if len(ids) > 100:
        raise not_valid("InstanceId")
    zone = call.params.get("ZoneId")
    among = [call.region.instances[i] for i in ids if i in call.region.instances] if ids else call.region.instance_order
    page = page_of(call.params, most=50)
    found, fields = cut(page, among, (lambda one: one.zone == zone) if zone else None)
    del fields["NextToken"]
    statuses = [{"InstanceId": one.id, "Status": one.status.at(call.now)} for one in found]
    return {"InstanceStatuses": {"InstanceStatus": statuses}, **fields}


def _tests(call: Call) -> list[Test]:
    params, now = call.params, call.now
    tests: list[Test] = []
    if status := params.choice("Status", *STATUSES):
        tests.append(lambda one: one.status.at(now) == status)
    if name := params.get("InstanceName"):
        tests.append(lambda one: name_matches(name, one.name))
    if type_id := params.get("InstanceType"):
        tests.append(lambda one: one.type_id == type_id)
    if family := params.get("InstanceTypeFamily"):
        tests.append(lambda one: type_facts(one.type_id).family == family)
    if image_id := params.get("ImageId"):
        tests.append(lambda one: one.system.at(now).image_id == image_id)
    if key := params.get("KeyPairName"):
        tests.append(lambda one: one.system.at(now).key_pair == key)
    if zone := params.get("ZoneId"):
        tests.append(lambda one: one.zone == zone)
    if charge := params.choice("InstanceChargeType", "PrePaid", "PostPaid"):
        tests.append(lambda one: one.charge_type == charge)
    if (optimized := params.boolean("IoOptimized")) is not None:
        tests.append(lambda one: one.io_optimized == optimized)
    if reason := params.get("LockReason"):
        tests.append(lambda one: any(reason == locked for locked, _ in one.locks))
    if tags := params.tags():
        tests.append(lambda one: tags_match(tags, one.tags))
    _add_network_tests(call, tests)
    return tests


def _add_network_tests(call: Call, tests: list[Test]) -> None:
    params, now = call.params, call.now
    fixed: dict[str, Read] = {
        "VpcId": lambda view: [view["VpcAttributes"]["VpcId"]],
        "VSwitchId": lambda view: [view["VpcAttributes"]["VSwitchId"]],
        "SecurityGroupId": lambda view: view["SecurityGroupIds"]["SecurityGroupId"],
        "InternetChargeType": lambda view: [view["InternetChargeType"]],
        "InstanceNetworkType": lambda view: [view["InstanceNetworkType"]],
    }
    addresses: dict[str, Read] = {
        "PrivateIpAddresses": lambda view: view["VpcAttributes"]["PrivateIpAddress"]["IpAddress"],
        "PublicIpAddresses": lambda view: view["PublicIpAddress"]["IpAddress"],
        "EipAddresses": lambda view: [view["EipAddress"]["IpAddress"]],
    }
    for name, read in fixed.items():
        if value := params.get(name):
            tests.append(_shows(read, [value], now))
    for name, read in addresses.items():
        if (asked := params.json_list(name)) is not None:
            tests.append(_shows(read, asked, now))


def _shows(read: Read, asked: list[str], now: float) -> Test:
    return lambda one: not set(asked).isdisjoint(read(instance_view(one, now)))
