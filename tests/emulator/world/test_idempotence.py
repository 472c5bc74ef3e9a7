"""Client tokens, quotas and faults: what the other side of an unlucky call looks like."""

import threading
from typing import Any

import pytest

from tests.emulator.caller import EXAMPLE, Emulated

ME = EXAMPLE["InstanceId"]


def fault(emu: Emulated, kind: str, **more: Any) -> None:
    emu.told("POST", "faults", {"kind": kind, **more})


def test_same_token_same_request_same_answer(emu: Emulated) -> None:
    first = emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t-1")
    emu.pass_time(3600)
    again = emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t-1")
    assert first.data["DiskId"] == again.data["DiskId"]
    assert first.data["RequestId"] != again.data["RequestId"]
    (made,) = emu.replacements(ME)
    assert made["client_token"] == "t-1"
    assert made["request_id"] == first.data["RequestId"]
    assert [one["effect"] for one in emu.told("GET", "journal")["entries"]] == [True, False]


@pytest.mark.parametrize("other", [{"ImageId": "m-x"}, {"SystemDisk.Size": "60"}, {"Password": "Abcdefg1"}])
def test_same_token_other_request(emu: Emulated, other: dict[str, str]) -> None:
    emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t-1")
    answer = emu.call("ReplaceSystemDisk", {**EXAMPLE, **other}, ClientToken="t-1")
    assert (answer.status, answer.code) == (400, "IdempotentParameterMismatch")
    assert len(emu.replacements(ME)) == 1


def test_a_token_belongs_to_its_action(emu: Emulated) -> None:
    emu.ok("ReplaceSystemDisk", EXAMPLE, ClientToken="t-1")
    emu.pass_time(60)
    disk_id = emu.disks(ME)[0]["DiskId"]
    assert emu.ok("CreateSnapshot", DiskId=disk_id, ClientToken="t-1")["SnapshotId"]


def test_a_token_distinguishes_letters(emu: Emulated) -> None:
    emu.told("PUT", "durations", {"replace": 0})
    first = emu.ok("ReplaceSystemDisk", EXAMPLE, ClientToken="t")["DiskId"]
    assert emu.ok("ReplaceSystemDisk", EXAMPLE, ClientToken="T")["DiskId"] != first


def test_a_token_is_forgotten_in_the_end(emu: Emulated) -> None:
    emu.told("PUT", "settings", {"token_memory_seconds": 600})
    first = emu.ok("ReplaceSystemDisk", EXAMPLE, ClientToken="t")["DiskId"]
    emu.pass_time(599)
    assert emu.ok("ReplaceSystemDisk", EXAMPLE, ClientToken="t")["DiskId"] == first
    emu.pass_time(1)
    assert emu.ok("ReplaceSystemDisk", EXAMPLE, ClientToken="t")["DiskId"] != first


@pytest.mark.parametrize("remembered", [False, True])
def test_refusals_are_remembered_only_where_that_is_set(emu: Emulated, remembered: bool) -> None:
    emu.told("PUT", "settings", {"remember_failures": remembered})
    emu.told("PATCH", f"instances/{ME}", {"Status": "Running"})
    assert emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t").code == "IncorrectInstanceStatus"
    emu.told("PATCH", f"instances/{ME}", {"Status": "Stopped"})
    again = emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t")
    assert again.code == ("IncorrectInstanceStatus" if remembered else "")


def test_a_token_still_at_work(emu: Emulated) -> None:
    """While the first call is delayed, the second one with its token is told so."""
    fault(emu, "delay", action="ReplaceSystemDisk", seconds=1.0)
    answers: list[str] = []
    first = threading.Thread(
        target=lambda: answers.append(emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t").code)
    )
    first.start()
    while not any(one["fired"] for one in emu.told("GET", "faults")["faults"]):
        pass
    assert emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t").code == "IdempotentProcessing"
    first.join()
    assert answers == [""]
    assert len(emu.replacements(ME)) == 1


def test_many_at_once_with_one_token_replace_once(emu: Emulated) -> None:
    codes: list[str] = []
    threads = [
        threading.Thread(target=lambda: codes.append(emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t").code))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {"", "IdempotentProcessing"}
    assert "" in codes
    assert len(emu.replacements(ME)) == 1


def test_quota_in_fixed_minutes(emu: Emulated) -> None:
    """The clock stands at second 20 of a minute: the window ends after 40 s, not after 60."""
    emu.told("PUT", "quotas", {"ReplaceSystemDisk": 3})
    request = {**EXAMPLE, "ImageId": "m-x"}
    codes = [emu.call("ReplaceSystemDisk", request).code for _ in range(5)]
    assert codes == ["InvalidImageId.NotFound"] * 3 + ["Throttling.User"] * 2
    emu.pass_time(39)
    throttled = emu.call("ReplaceSystemDisk", request)
    assert (throttled.code, throttled.status) == ("Throttling.User", 400)
    emu.pass_time(1)
    assert emu.call("ReplaceSystemDisk", request).code == "InvalidImageId.NotFound"


def test_quota_is_by_region_and_action(emu: Emulated) -> None:
    emu.told("PUT", "quotas", {"DescribeImages": 1})
    assert emu.call("DescribeImages", RegionId="cn-hangzhou").status == 200
    assert emu.call("DescribeImages", RegionId="cn-shanghai").status == 200
    assert emu.call("DescribeImages", RegionId="cn-hangzhou").code == "Throttling.User"
    assert emu.call("DescribeInstances", RegionId="cn-hangzhou").status == 200
    emu.told("PUT", "quotas", {"DescribeImages": None})
    assert emu.call("DescribeImages", RegionId="cn-hangzhou").status == 200


def test_the_default_quota(emu: Emulated) -> None:
    assert emu.told("GET", "quotas") == {"ReplaceSystemDisk": 200}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InternalError", 500),
        ("ServiceUnavailable", 503),
        ("Throttling", 400),
        ("OperationDenied.500", 500),
        ("OperationDenied.400", 400),
        ("ChargeTypeViolation", 403),
        ("Made.Up", 400),
    ],
)
def test_error_fault(emu: Emulated, code: str, status: int) -> None:
    fault(emu, "error", action="ReplaceSystemDisk", code=code)
    answer = emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t")
    assert (answer.code, answer.status) == (code.removesuffix(".500").removesuffix(".400"), status)
    assert emu.replacements(ME) == []
    assert emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t").status == 200


def test_error_fault_in_its_own_words(emu: Emulated) -> None:
    fault(emu, "error", code="Throttling.Custom", status=429, message="Not now.")
    answer = emu.call("DescribeRegions")
    assert (answer.code, answer.status, answer.message) == ("Throttling.Custom", 429, "Not now.")


def test_nth_and_times(emu: Emulated) -> None:
    fault(emu, "error", action="DescribeRegions", code="InternalError", nth=2, times=2)
    assert [emu.call("DescribeRegions").status for _ in range(5)] == [200, 500, 500, 200, 200]


def test_for_ever_until_deleted(emu: Emulated) -> None:
    fault(emu, "error", code="InternalError", times=0)
    assert [emu.call("DescribeRegions").status for _ in range(4)] == [500] * 4
    assert emu.told("DELETE", "faults") == {"faults": []}
    assert emu.call("DescribeRegions").status == 200


def test_fault_on_one_instance(emu: Emulated) -> None:
    fault(emu, "error", instance="i-other", code="InternalError", times=0)
    assert emu.call("StartInstance", InstanceId=ME).status == 200


def test_drop_does_nothing(emu: Emulated) -> None:
    fault(emu, "drop", action="ReplaceSystemDisk")
    with pytest.raises(ConnectionAbortedError):
        emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t")
    assert emu.replacements(ME) == []
    assert emu.last_call()["code"] == "(no answer)"
    assert emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t").status == 200
    assert len(emu.replacements(ME)) == 1


def test_commit_then_drop_is_done_and_the_token_tells(emu: Emulated) -> None:
    fault(emu, "commit_then_drop", action="ReplaceSystemDisk")
    with pytest.raises(ConnectionAbortedError):
        emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t")
    (made,) = emu.replacements(ME)
    entry = emu.last_call()
    assert (entry["code"], entry["http_status"], entry["effect"]) == ("(answer lost)", 0, True)
    assert emu.ok("ReplaceSystemDisk", EXAMPLE, ClientToken="t")["DiskId"] == made["disk_id"]
    assert len(emu.replacements(ME)) == 1


def test_without_a_token_an_answer_lost_is_lost(emu: Emulated) -> None:
    emu.told("PUT", "durations", {"replace": 0})
    fault(emu, "commit_then_drop", action="ReplaceSystemDisk")
    with pytest.raises(ConnectionAbortedError):
        emu.call("ReplaceSystemDisk", EXAMPLE)
    assert emu.call("ReplaceSystemDisk", EXAMPLE).status == 200
    assert len(emu.replacements(ME)) == 2


def test_stuck_replacement_until_someone_completes_it(emu: Emulated) -> None:
    fault(emu, "stuck", action="ReplaceSystemDisk", instance=ME)
    new = emu.ok("ReplaceSystemDisk", EXAMPLE)["DiskId"]
    emu.pass_time(10**6)
    assert [one["Status"] for one in emu.disks(ME)] == ["In_use", "Creating"]
    assert emu.told("GET", f"instances/{ME}")["Replacing"] is True
    emu.told("PATCH", f"instances/{ME}", {"Replacing": False})
    assert [(one["DiskId"], one["Status"]) for one in emu.disks(ME)] == [(new, "In_use")]
    assert emu.instance(ME)["ImageId"] == "m-myimage11"


def test_system_that_does_not_boot(emu: Emulated) -> None:
    fault(emu, "boot_fails", action="ReplaceSystemDisk")
    emu.ok("ReplaceSystemDisk", EXAMPLE)
    emu.pass_time(60)
    emu.ok("StartInstance", InstanceId=ME)
    assert emu.instance(ME)["Status"] == "Starting"
    emu.pass_time(40)
    assert emu.instance(ME)["Status"] == "Stopped"
    emu.ok("ReplaceSystemDisk", EXAMPLE)
    emu.pass_time(60)
    emu.ok("StartInstance", InstanceId=ME)
    emu.pass_time(40)
    assert emu.instance(ME)["Status"] == "Running"


def test_system_that_boots_but_does_not_serve(emu: Emulated) -> None:
    fault(emu, "serves_not", action="ReplaceSystemDisk", instance=ME)
    emu.ok("ReplaceSystemDisk", EXAMPLE)
    emu.pass_time(60)
    emu.ok("StartInstance", InstanceId=ME)
    emu.pass_time(40)
    assert emu.instance(ME)["Status"] == "Running"
    sent = emu.ok("RunCommand", {"Type": "RunShellScript", "CommandContent": "curl localhost", "InstanceId.1": ME})
    emu.pass_time(2)
    results = emu.ok("DescribeInvocationResults", InvokeId=sent["InvokeId"], ContentEncoding="PlainText")
    (result,) = results["Invocation"]["InvocationResults"]["InvocationResult"]
    assert (result["InvocationStatus"], result["ExitCode"]) == ("Failed", 1)
    assert "does not answer" in result["Output"]


WRONG_FAULTS: list[dict[str, Any]] = [
    {},
    {"kind": "explode"},
    {"kind": "error"},
    {"kind": "delay", "seconds": -1},
    {"kind": "delay", "seconds": "long"},
    {"kind": "drop", "nth": 0},
    {"kind": "drop", "times": True},
    {"kind": "drop", "colour": "red"},
    {"kind": "drop", "action": 7},
]


@pytest.mark.parametrize("wrong", WRONG_FAULTS)
def test_faults_that_cannot_be(emu: Emulated, wrong: dict[str, Any]) -> None:
    status, data = emu.control("POST", "faults", wrong)
    assert status == 422
    assert data["error"]
    assert emu.told("GET", "faults") == {"faults": []}
