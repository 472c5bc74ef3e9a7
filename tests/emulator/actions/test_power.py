"""Stop, start and restart: one at a time and a hundred at once, as a function of the clock."""

import json

import pytest

from tests.emulator.caller import EXAMPLE, Emulated

ME = EXAMPLE["InstanceId"]


def status(emu: Emulated, instance_id: str = ME) -> str:
    return str(emu.instance(instance_id)["Status"])


def running(emu: Emulated, count: int) -> list[str]:
    tag = {"Tag.1.Key": "service", "Tag.1.Value": "web", "Tag.2.Key": "env", "Tag.2.Value": "prod"}
    found = emu.ok("DescribeInstances", tag, Status="Running", PageSize="100")["Instances"]["Instance"]
    assert len(found) >= count
    return [one["InstanceId"] for one in found[:count]]


def named(ids: list[str]) -> dict[str, str]:
    return {f"InstanceId.{index}": one for index, one in enumerate(ids, 1)}


def test_start_stop_restart_by_the_clock(emu: Emulated) -> None:
    seen = [status(emu)]
    for action, steps in (
        ("StartInstance", (0, 39, 1)),
        ("RebootInstance", (0, 30, 39, 1)),
        ("StopInstance", (0, 29, 1)),
    ):
        emu.ok(action, InstanceId=ME)
        for seconds in steps:
            emu.pass_time(seconds)
            seen.append(status(emu))
    starting, rebooting = ["Starting", "Starting", "Running"], ["Stopping", "Starting", "Starting", "Running"]
    assert seen == ["Stopped", *starting, *rebooting, "Stopping", "Stopping", "Stopped"]


def test_speed_shortens_and_zero_means_at_once(emu: Emulated) -> None:
    emu.told("PUT", "settings", {"speed": 60})
    emu.ok("StartInstance", InstanceId=ME)
    emu.pass_time(40 / 60 + 0.001)
    assert status(emu) == "Running"
    emu.told("PUT", "durations", {"stop": 0, "start": 0, "replace": 0})
    emu.ok("StopInstance", InstanceId=ME)
    assert status(emu) == "Stopped"
    emu.ok("ReplaceSystemDisk", EXAMPLE)
    assert [one["Status"] for one in emu.disks(ME)] == ["In_use"]
    emu.ok("StartInstance", InstanceId=ME)
    assert status(emu) == "Running"
    emu.ok("RebootInstance", InstanceId=ME)
    assert status(emu) == "Running"


def test_stopped_mode_field(emu: Emulated) -> None:
    assert emu.instance(ME)["StoppedMode"] == "KeepCharging"
    emu.told("PUT", "durations", {"stop": 0, "start": 0})
    emu.ok("StartInstance", InstanceId=ME)
    assert emu.instance(ME)["StoppedMode"] == "Not-applicable"
    emu.ok("StopInstance", InstanceId=ME, StoppedMode="StopCharging")
    assert emu.instance(ME)["StoppedMode"] == "StopCharging"


def test_economical_mode_may_find_no_stock_and_gives_the_address_up(emu: Emulated) -> None:
    found = emu.ok("DescribeInstances", Status="Running", PageSize="100")["Instances"]["Instance"]
    one = next(x for x in found if x["PublicIpAddress"]["IpAddress"] and x["InstanceChargeType"] == "PostPaid")
    instance_id = one["InstanceId"]
    emu.told("PUT", "durations", {"stop": 0, "start": 0})
    emu.told("PATCH", f"instances/{instance_id}", {"no_stock": True})
    emu.ok("StopInstance", InstanceId=instance_id, StoppedMode="KeepCharging")
    emu.ok("StartInstance", InstanceId=instance_id)
    assert emu.instance(instance_id)["PublicIpAddress"] == one["PublicIpAddress"]
    emu.ok("StopInstance", InstanceId=instance_id, StoppedMode="StopCharging")
    answer = emu.call("StartInstance", InstanceId=instance_id)
    assert (answer.code, answer.status) == ("OperationDenied.NoStock", 403)
    stopped = emu.instance(instance_id)
    assert stopped["PublicIpAddress"] == {"IpAddress": []}
    assert stopped["VpcAttributes"] == one["VpcAttributes"]


def test_a_prepaid_machine_is_simply_stopped(emu: Emulated) -> None:
    emu.told("PUT", "durations", {"stop": 0})
    prepaid = emu.ok("DescribeInstances", InstanceChargeType="PrePaid", Status="Running")["Instances"]["Instance"][0]
    emu.ok("StopInstance", InstanceId=prepaid["InstanceId"], StoppedMode="StopCharging")
    assert emu.instance(prepaid["InstanceId"])["StoppedMode"] == "KeepCharging"


def test_the_accounts_default_mode(emu: Emulated) -> None:
    emu.told("PUT", "durations", {"stop": 0})
    emu.told("PUT", "settings", {"economical_default": True})
    first, second = running(emu, 2)
    emu.ok("StopInstance", InstanceId=first)
    emu.ok("StopInstance", InstanceId=second, StoppedMode="KeepCharging")
    assert [emu.instance(one)["StoppedMode"] for one in (first, second)] == ["StopCharging", "KeepCharging"]


def test_all_together_fails_whole(emu: Emulated) -> None:
    good = running(emu, 2)
    for bad, code in (("i-nobody", "InvalidInstanceId.NotFound"), (ME, "IncorrectInstanceStatus")):
        answer = emu.call("StopInstances", named([*good, bad]))
        assert answer.code == code
        assert [status(emu, one) for one in good] == ["Running"] * 2


def test_success_first_does_what_it_can(emu: Emulated) -> None:
    good = running(emu, 2)
    request = named([good[0], "i-nobody", ME, good[1]])
    answer = emu.ok("StopInstances", request, BatchOptimization="SuccessFirst")
    rows = answer["InstanceResponses"]["InstanceResponse"]
    assert [(one["InstanceId"], one["Code"]) for one in rows] == [
        (good[0], "200"),
        ("i-nobody", "InvalidInstanceId.NotFound"),
        (ME, "IncorrectInstanceStatus"),
        (good[1], "200"),
    ]
    assert (rows[0]["PreviousStatus"], rows[0]["CurrentStatus"], rows[0]["Message"]) == (
        "Running",
        "Stopping",
        "success",
    )
    assert [status(emu, one) for one in good] == ["Stopping"] * 2


def test_an_error_fault_on_one_of_a_batch(emu: Emulated) -> None:
    good = running(emu, 2)
    error = {"kind": "error", "instance": good[0], "code": "InternalError", "times": 2}
    emu.told("POST", "faults", error)
    rows = emu.ok("StopInstances", named(good), BatchOptimization="SuccessFirst")["InstanceResponses"][
        "InstanceResponse"
    ]
    assert [one["Code"] for one in rows] == ["InternalError", "200"]
    assert emu.call("StopInstances", named(good)).status == 500


def test_batches_of_a_hundred(emu: Emulated) -> None:
    assert (
        emu.call("StopInstances", named([f"i-{n}" for n in range(101)])).code == "InvalidParameter.TooManyInstanceIds"
    )
    assert emu.call("StopInstances", named([f"i-{n}" for n in range(100)])).code == "InvalidInstanceId.NotFound"
    assert emu.call("StopInstances", RegionId="cn-hangzhou").code == "MissingParameter"


@pytest.mark.parametrize(("action", "code"), [("StopInstances", "DRYRUN.SUCCESS"), ("StopInstance", "DryRunOperation")])
def test_dry_run(emu: Emulated, action: str, code: str) -> None:
    (one,) = running(emu, 1)
    answer = emu.call(action, {"InstanceId" if action == "StopInstance" else "InstanceId.1": one, "DryRun": "true"})
    assert (answer.code, answer.status) == (code, 400)
    assert status(emu, one) == "Running"
    assert emu.last_call()["effect"] is False


REFUSED = [
    ({"OperationLocks": ["security"]}, "InstanceLockedForSecurity"),
    ({"OperationLocks": ["financial"]}, "InstanceExpiredOrInArrears"),
    ({"ExpiredTime": "2020-01-01T00:00Z"}, "InstanceExpiredOrInArrears"),
    ({"arrears": True}, "InstanceExpiredOrInArrears"),
    ({"Status": "Running"}, "IncorrectInstanceStatus"),
    ({"Status": "Starting"}, "IncorrectInstanceStatus"),
]


@pytest.mark.parametrize(("state", "code"), REFUSED)
def test_a_start_is_refused(emu: Emulated, state: dict[str, object], code: str) -> None:
    emu.told("PATCH", f"instances/{ME}", state)
    assert emu.call("StartInstance", InstanceId=ME).code == code


def test_stuck(emu: Emulated) -> None:
    emu.told("POST", "faults", {"kind": "stuck", "action": "StartInstances", "instance": ME})
    emu.ok("StartInstances", named([ME]))
    emu.pass_time(10**6)
    assert status(emu) == "Starting"
    emu.told("PATCH", f"instances/{ME}", {"Status": "Stopped"})
    emu.ok("StartInstances", named([ME]))
    emu.pass_time(40)
    assert status(emu) == "Running"


def test_key_pairs_bound_and_released(emu: Emulated) -> None:
    windows = emu.ok("DescribeInstances", PageSize="100")["Instances"]["Instance"]
    windows_id = next(one["InstanceId"] for one in windows if one["OSType"] == "windows")
    ids = json.dumps([ME, windows_id, "i-nobody"])
    answer = emu.ok("AttachKeyPair", KeyPairName="break-glass", InstanceIds=ids)
    codes = {one["InstanceId"]: (one["Code"], one["Success"]) for one in answer["Results"]["Result"]}
    assert codes == {
        ME: ("200", "true"),
        windows_id: ("DependencyViolation.WindowsInstance", "false"),
        "i-nobody": ("InvalidInstanceId.NotFound", "false"),
    }
    assert (answer["TotalCount"], answer["FailCount"]) == ("3", "2")
    assert emu.instance(ME)["KeyPairName"] == "break-glass"
    emu.ok("DetachKeyPair", KeyPairName="break-glass", InstanceIds=json.dumps([ME]))
    assert "KeyPairName" not in emu.instance(ME)
    assert emu.call("AttachKeyPair", RegionId="cn-hangzhou", KeyPairName="none", InstanceIds=ids).status == 404
    many = json.dumps([f"i-{n}" for n in range(51)])
    assert emu.call("AttachKeyPair", RegionId="cn-hangzhou", KeyPairName="ops-2024", InstanceIds=many).status == 400
