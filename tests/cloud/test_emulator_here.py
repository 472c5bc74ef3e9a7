"""The emulator within the process answers as the one over HTTP does: whatever is called, refused, lost or late."""

from collections.abc import Callable
from typing import Any

import pytest

from fleet.cloud import CloudError, Credential, EcsClient
from fleet.lib.secret import Secret
from fleet.management.processes.child import wait_for
from tests.support.emulator import Emulator

MACHINE, IMAGE = "i-23jggx34b", "m-myimage11"
Call = Callable[[EcsClient], Any]
CALLS: dict[str, Call] = {
    "DescribeRegions": lambda client: client.describe_regions(),
    "DescribeInstances": lambda client: client.describe_instances(ids=[MACHINE]),
    "DescribeDisks": lambda client: client.describe_disks(instance_id=MACHINE, kind="system"),
    "StopInstances": lambda client: client.stop_instances(ids=[MACHINE]),
    "StartInstances": lambda client: client.start_instances(ids=[MACHINE]),
    "ReplaceSystemDisk": lambda client: client.replace_system_disk(
        instance_id=MACHINE, image_id=IMAGE, client_token="once", password=Secret("Pass%wor+d&1")
    ),
}
FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "error": {"kind": "error", "code": "IncorrectInstanceStatus", "status": 403, "message": "Said so."},
    "failure": {"kind": "error", "code": "ServiceUnavailable", "status": 503},
    "drop": {"kind": "drop"},
    "commit_then_drop": {"kind": "commit_then_drop"},
    "short delay": {"kind": "delay", "seconds": 0.05},
    "long delay": {"kind": "delay", "seconds": 1.3},
    "stuck": {"kind": "stuck"},
    "boot_fails": {"kind": "boot_fails"},
}


def told(emulator: Emulator, call: Call, **given: Any) -> dict[str, Any]:
    """Return what a client is told, as far as it does not differ from one call to the next."""
    credential = Credential(emulator.access_key_id, Secret(emulator.access_key_secret))
    options: dict[str, Any] = {
        "region": "cn-hangzhou",
        "credential": credential,
        "call_timeout": 4,
        "replace_timeout": 4,
    }
    client = EcsClient(endpoint=f"127.0.0.1:{emulator.port}", **(options | given))
    try:
        answer = call(client)
    except CloudError as error:
        message = error.message.replace(f":{emulator.port})", ":PORT)")
        return {
            "code": error.code,
            "message": message,
            "status": error.http_status,
            "retryability": error.retryability,
            "has a request id": bool(error.request_id),
        }
    return {"answer": type(answer), "long": len(answer) if isinstance(answer, list | tuple) else None}


def called(emulator: Emulator, action: str, *, times: int) -> dict[str, Any]:
    """Call for the so manyth time, and wait until that is noted: whoever gave up waiting is answered all the same."""
    seen = told(emulator, CALLS[action])
    assert wait_for(what=lambda: len(emulator.journal()) == times, seconds=10, every=0.02)
    return seen


def noted(emulator: Emulator) -> dict[str, Any]:
    """Return what the emulator notes of the calls, and what became of the machine."""
    lines = [
        {name: each[name] for name in ("action", "region", "params", "http_status", "code", "effect", "client_token")}
        for each in emulator.journal()
    ]
    for line in lines:
        for name in (
            "Signature",
            "SignatureNonce",
            "SignatureMethod",
            "SignatureVersion",
            "SignatureType",
            "Timestamp",
        ):
            line["params"].pop(name, None)
    disks = [disk["how"] for disk in emulator.ledger()["disks"] if disk["instance_id"] == MACHINE]
    return {"journal": lines, "machine": emulator.call("GET", f"instances/{MACHINE}")["Status"], "disks": disks}


@pytest.mark.parametrize("action", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_both_ways_to_an_emulator_end_in_the_same(
    emulator_here: Emulator, emulator_server: Emulator, fault: str, action: str
) -> None:
    seen = []
    for emulator in (emulator_here, emulator_server):
        emulator.reset(instances=20)
        if FAULTS[fault]:
            emulator.faults({"action": action, **FAULTS[fault]})
        seen.append([called(emulator, action, times=1), called(emulator, action, times=2), noted(emulator)])
    assert seen[0] == seen[1]


def test_a_stranger_is_let_in_by_neither(emulator_here: Emulator, emulator_server: Emulator) -> None:
    stranger = Credential("nobody", Secret("x"))
    here, there = (
        told(emulator, CALLS["DescribeRegions"], credential=stranger) for emulator in (emulator_here, emulator_server)
    )
    assert here == there
    assert here["code"] == "InvalidAccessKeyId.NotFound"


def test_no_client_of_another_endpoint_comes_here(emulator_here: Emulator) -> None:
    before = emulator_here.journal()
    nowhere = Emulator(url="http://127.0.0.1:2", port=2)
    assert told(nowhere, CALLS["DescribeRegions"])["code"] == "SDK.HttpError"
    assert emulator_here.journal() == before
