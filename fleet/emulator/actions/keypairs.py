"""DescribeKeyPairs, AttachKeyPair, DetachKeyPair."""

from collections.abc import Callable
from dataclasses import replace

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.matching import name_matches, tag_list, tags_match
from fleet.emulator.contract.paging import cut, page_of
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import common_error, missing
from fleet.emulator.wire.times import to_second
from fleet.emulator.world.resources import Instance, KeyPair
from fleet.emulator.world.timeline import Timeline


@action(
    "DescribeKeyPairs",
    scope="region",
    honoured="KeyPairName KeyPairFingerPrint IncludePublicKey PageNumber PageSize Tag.N.Key Tag.N.Value",
    ignored="ResourceGroupId",
)
def describe_key_pairs(call: Call) -> Answer:
    """List key pairs; KeyPairName may hold *."""
    name, fingerprint = call.params.get("KeyPairName"), call.params.get("KeyPairFingerPrint")
    tags, public = call.params.tags(), call.params.boolean("IncludePublicKey")

    def wanted(pair: KeyPair) -> bool:
        named = not name or name_matches(name, pair.id)
        return named and fingerprint in ("", pair.fingerprint) and tags_match(tags, pair.tags)

    found, fields = cut(page_of(call.params, most=50), list(call.region.key_pairs.values()), wanted)
    del fields["NextToken"]
    pairs = []
    for pair in found:
        view = {
            "KeyPairName": pair.id,
            "KeyPairFingerPrint": pair.fingerprint,
            "CreationTime": to_second(pair.created_at),
            "ResourceGroupId": "",
            "Tags": tag_list(pair.tags),
        }
        pairs.append({**view, "PublicKey": f"ssh-rsa emulator {pair.id}"} if public else view)
    return {"KeyPairs": {"KeyPair": pairs}, **fields}


@action("AttachKeyPair", scope="region", honoured="KeyPairName InstanceIds", changes=True)
def attach_key_pair(call: Call) -> Answer:
    """Bind a key pair to up to 50 instances; a Windows one fails by itself inside a success."""
    name = call.params.require("KeyPairName")
    if name not in call.region.key_pairs:
        raise common_error("InvalidKeyPair.NotFound")
    return _each(call, lambda instance: _bind(call, instance, name))


@action("DetachKeyPair", scope="region", honoured="KeyPairName InstanceIds", changes=True)
def detach_key_pair(call: Call) -> Answer:
    """Take a key pair from up to 50 instances; one that has another fails by itself."""
    name = call.params.require("KeyPairName")
    if name not in call.region.key_pairs:
        raise common_error("InvalidKeyPair.NotFound")

    def release(instance: Instance) -> str:
        if instance.system.at(call.now).key_pair != name:
            return "InvalidKeyPair.NotFound"
        return _bind(call, instance, "")

    return _each(call, release)


def _bind(call: Call, instance: Instance, name: str) -> str:
    if not instance.system.settled(call.now):
        return "IncorrectInstanceStatus"
    system = instance.system.at(call.now)
    if system.os_type == "windows":
        return "DependencyViolation.WindowsInstance"
    login = system.password_set if not name else False
    instance.system = Timeline((call.now, replace(system, key_pair=name, password_login=login)))
    call.region.changed(instance)
    call.effect = True
    return ""


def _each(call: Call, act: Callable[[Instance], str]) -> Answer:
    ids = call.params.json_list("InstanceIds", most=50, error=common_error("InvalidInstanceIds.Malformed"))
    if not ids:
        raise missing("InstanceIds")
    results = []
    for instance_id in ids:
        instance = call.region.instances.get(instance_id)
        code = "InvalidInstanceId.NotFound" if instance is None else act(instance)
        message = common_error(code).message if code else "successful"
        results.append(
            {
                "InstanceId": instance_id,
                "Code": code or "200",
                "Message": message,
                "Success": "false" if code else "true",
            }
        )
    failed = sum(1 for result in results if result["Success"] == "false")
    return {
        "KeyPairName": call.params.get("KeyPairName"),
        "TotalCount": str(len(ids)),
        "FailCount": str(failed),
        "Results": {"Result": results},
    }
