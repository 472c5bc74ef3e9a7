"""The control API and the page: from this machine only, and a sentence for everything that cannot be."""

import importlib
import inspect
import re
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models
from aliyunsdkcore.request import RpcRequest

from fleet.emulator.contract.registry import ACTIONS
from fleet.emulator.reference import REQUEST_ROWS, describe
from fleet.emulator.wire.params import PROTOCOL
from tests.emulator.caller import EXAMPLE, Emulated

ME = EXAMPLE["InstanceId"]


@pytest.mark.parametrize("peer", ["192.0.2.7", "10.0.0.1", "::ffff:192.0.2.7", "", "fe80::1"])
def test_only_this_machine_is_answered(emu: Emulated, peer: str) -> None:
    for path in ("", "journal", "ledger", "health", "emulator.css"):
        response = emu.client.get(f"/__emulator__/{path}", environ_overrides={"REMOTE_ADDR": peer})
        assert response.status_code == 403, path
        assert "this machine only" in response.text


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_answered(emu: Emulated, peer: str) -> None:
    response = emu.client.get("/__emulator__/health", environ_overrides={"REMOTE_ADDR": peer})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "elsewhere.example"},
        {"Host": "elsewhere.example:8787"},
        {"Host": "localhost.elsewhere.example"},
    ],
)
def test_a_browser_sent_from_elsewhere_is_refused(emu: Emulated, headers: dict[str, str]) -> None:
    status, _ = emu.control("POST", "reset", {"instances": 0}, **headers)
    assert status == 403
    assert emu.told("GET", "health")["instances"] == 120


@pytest.mark.parametrize("host", ["localhost", "localhost:8787", "127.0.0.1:1", "[::1]:8787"])
def test_every_name_of_this_machine_will_do(emu: Emulated, host: str) -> None:
    assert emu.control("GET", "health", Host=host, Origin=f"http://{host}")[0] == 200


WRONG: list[tuple[str, str, Any, int]] = [
    ("POST", "reset", {"instances": -1}, 422),
    ("POST", "reset", {"instances": 10**9}, 422),
    ("POST", "reset", {"instances": "many"}, 422),
    ("POST", "reset", {"seed": 1.5}, 422),
    ("POST", "reset", {"regions": ["mars"]}, 422),
    ("POST", "reset", {"colour": "red"}, 422),
    ("POST", "reset", ["instances"], 422),
    ("PUT", "durations", {"stop": -1}, 422),
    ("PUT", "durations", {"stop": "long"}, 422),
    ("PUT", "durations", {"sleep": 1}, 422),
    ("PUT", "quotas", {"ReplaceSystemDisk": -1}, 422),
    ("PUT", "quotas", {"ReplaceSystemDisk": 1.5}, 422),
    ("PUT", "settings", {"edition": "1999"}, 422),
    ("PUT", "settings", {"speed": 0}, 422),
    ("PUT", "settings", {"token_key": "mine"}, 422),
    ("PATCH", f"instances/{ME}", {"Status": "Sleeping"}, 422),
    ("PATCH", f"instances/{ME}", {"InstanceId": "i-2"}, 422),
    ("PATCH", f"instances/{ME}", {"unpaid_order": 1}, 422),
    ("PATCH", f"instances/{ME}", {"Hidden": {"nothing": True}}, 422),
    ("PATCH", f"instances/{ME}", {"SystemDisk": {"Size": 0}}, 422),
    ("PATCH", f"instances/{ME}", {"SystemDisk": []}, 422),
    ("PATCH", f"instances/{ME}", {"ExpiredTime": "soon"}, 422),
    ("PATCH", f"instances/{ME}", {"OperationLocks": "security"}, 422),
    ("PATCH", f"instances/{ME}", {"Tags": ["a"]}, 422),
    ("PATCH", "instances/i-nobody", {}, 404),
    ("GET", "instances/i-nobody", None, 404),
    ("PATCH", "images/m-myimage11", {"Size": "20"}, 422),
    ("PATCH", "images/m-myimage11", {"Status": "Gone"}, 422),
    ("PATCH", "images/m-myimage11", {"ImageId": "m-2"}, 422),
    ("PATCH", "images/m-nobody", {}, 404),
    ("DELETE", "images/m-nobody", None, 404),
    ("GET", "nothing", None, 404),
    ("POST", "journal", {}, 404),
    ("GET", "journal?since=x", None, 422),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), WRONG)
def test_what_cannot_be_is_said_and_changes_nothing(
    emu: Emulated, method: str, path: str, body: Any, status: int
) -> None:
    before = emu.told("GET", f"instances/{ME}"), emu.told("GET", "settings"), emu.told("GET", "images/m-myimage11")
    got, data = emu.control(method, path, body)
    assert (got, bool(data["error"])) == (status, True)
    after = emu.told("GET", f"instances/{ME}"), emu.told("GET", "settings"), emu.told("GET", "images/m-myimage11")
    assert after == before


def test_a_patch_is_taken_whole_or_not_at_all(emu: Emulated) -> None:
    before = emu.told("GET", f"instances/{ME}")
    status, _ = emu.control("PATCH", f"instances/{ME}", {"InstanceName": "renamed", "Status": "Sleeping"})
    assert status == 422
    assert emu.told("GET", f"instances/{ME}") == before


def test_a_body_that_is_not_json(emu: Emulated) -> None:
    for body in (b"{", b"\xff", b"[" * 100_000):
        response = emu.client.post("/__emulator__/reset", data=body)
        assert response.status_code == 422


PATCHES: list[tuple[dict[str, Any], str, Any]] = [
    ({"InstanceName": "n"}, "InstanceName", "n"),
    ({"InstanceType": "ecs.c7.large"}, "InstanceTypeFamily", "ecs.c7"),
    ({"InstanceChargeType": "PrePaid"}, "InstanceChargeType", "PrePaid"),
    ({"ExpiredTime": "2027-01-01T00:00Z"}, "ExpiredTime", "2027-01-01T00:00Z"),
    ({"IoOptimized": False}, "IoOptimized", False),
    ({"Status": "Pending"}, "Status", "Pending"),
    ({"StoppedMode": "StopCharging"}, "StoppedMode", "StopCharging"),
    ({"ImageId": "m-myimage11"}, "OSNameEn", "Ubuntu  24.04 64 bit"),
    ({"KeyPairName": "ops-2024"}, "KeyPairName", "ops-2024"),
    ({"Tags": {"a": "b"}}, "Tags", {"Tag": [{"TagKey": "a", "TagValue": "b"}]}),
    ({"DeletionProtection": True}, "DeletionProtection", True),
]


@pytest.mark.parametrize(("patch", "field", "value"), PATCHES)
def test_patches_show(emu: Emulated, patch: dict[str, Any], field: str, value: Any) -> None:
    assert emu.told("PATCH", f"instances/{ME}", patch)[field] == value
    assert emu.instance(ME)[field] == value


def test_refuse_makes_any_error_of_the_edition(emu: Emulated) -> None:
    emu.told("PATCH", f"instances/{ME}", {"refuse": "IncorrectDiskStatus"})
    answer = emu.call("ReplaceSystemDisk", EXAMPLE)
    assert (answer.code, answer.status) == ("IncorrectDiskStatus", 403)


def test_journal_since(emu: Emulated) -> None:
    for _ in range(5):
        emu.call("DescribeRegions")
    whole = emu.told("GET", "journal")
    assert [one["seq"] for one in whole["entries"]] == [1, 2, 3, 4, 5]
    assert whole["last_seq"] == 5
    assert [one["seq"] for one in emu.told("GET", "journal?since=3")["entries"]] == [4, 5]
    assert [one["seq"] for one in emu.told("GET", "journal?since=1&limit=2")["entries"]] == [2, 3]
    assert emu.told("GET", "journal?since=5")["entries"] == []


def test_an_entry_of_the_journal(emu: Emulated) -> None:
    emu.call("ReplaceSystemDisk", EXAMPLE, ClientToken="t", Colour="red", **{"Shape.1.Size": "2"})
    entry = emu.last_call()
    assert entry["unknown"] == ["Colour", "Shape.1.Size"]
    assert entry["params"]["Colour"] == "red"
    assert (entry["client_token"], entry["effect"], entry["http_status"], entry["code"]) == ("t", True, 200, "")
    assert entry["at"] == "2026-11-23T02:13:20Z"
    assert entry["access_key_id"] == "emulator"


def test_ledger_of_everything(emu: Emulated) -> None:
    whole = emu.told("GET", "ledger")
    assert len(whole["logins"]) == 120
    assert {disk["how"] for disk in whole["disks"]} == {"seed"}
    emu.ok("ReplaceSystemDisk", EXAMPLE)
    assert emu.told("GET", "ledger?since=seed")["replacements"] == 1
    old, new = (one for one in emu.told("GET", f"ledger?instance={ME}")["disks"] if one["kind"] == "system")
    assert (old["releasing"], old["released_at"], new["released_at"]) == (True, None, None)
    emu.pass_time(60)
    old, _ = emu.told("GET", f"ledger?instance={ME}")["disks"]
    assert (old["releasing"], old["released_at"]) == (False, "2026-11-23T02:14:20Z")


def test_the_page(emu: Emulated) -> None:
    emu.call("ReplaceSystemDisk", EXAMPLE, KeyPairName="<script>alert(1)</script>")
    emu.told("POST", "faults", {"kind": "drop", "action": "<b>"})
    query = "?q=%3Cscript%3E&instance=i-23jggx34b"
    response = emu.client.get(f"/__emulator__/{query}")
    assert response.status_code == 200
    assert "<script" not in response.text
    assert "<b>" not in response.text
    for words in ("ECS emulator", "d-23jbf2v5l", "ReplaceSystemDisk", "NoSuchResource", 'id="faults"'):
        assert words in response.text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "style=" not in response.text
    assert emu.client.get("/__emulator__/emulator.css").status_code == 200
    assert emu.client.get("/__emulator__/?instance=i-nobody").status_code == 200
    assert (
        "case-" in emu.client.get("/__emulator__/?q=case%3DImage").text or emu.client.get("/__emulator__/?q=case").text
    )


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_parameter_of_the_official_client_is_known(name: str) -> None:
    """A parameter that we have never heard of would be journalled as unknown."""
    module = importlib.import_module(f"aliyunsdkecs.request.v20140526.{name}Request")
    request: RpcRequest = getattr(module, f"{name}Request")()
    for setter in (one for one in vars(type(request)) if one.startswith("set_")):
        for value in ([{"Key": "k", "Value": "v"}], {"a": "b"}, ["v"], "v"):
            try:
                getattr(request, setter)(value)
                break
            except (TypeError, AttributeError, KeyError):
                continue
    sent = {**request.get_query_params(), **(request.get_body_params() or {})}
    assert ACTIONS[name].unknown(dict.fromkeys(sent, "v")) == []


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_parameter_of_the_newest_client_is_known(name: str) -> None:
    source = inspect.getsource(getattr(models, f"{name}Request").to_map)
    sent = set(re.findall(r"result\['([^']+)'\]", source)) - PROTOCOL
    known = {one.split(".")[0] for one in ACTIONS[name].known} | ACTIONS[name].known
    assert {one for one in sent if one.split(".")[0] not in known} == set()


def test_the_tables_for_the_readme(emu: Emulated) -> None:
    text = describe()
    assert all(f"| {name} |" in text for name in ACTIONS)
    cases = re.findall(r"\| `case=([^`]+)` \| (\d+) \|", text)
    assert len({code for code, _ in cases}) + len(REQUEST_ROWS) == 25
    assert ("OperationDenied.500", "500") in cases
    assert ("InvalidParameter.Conflict", "400") in cases
    for code, status, parameters in REQUEST_ROWS:
        answer = emu.call("ReplaceSystemDisk", {**EXAMPLE, **parameters})
        assert (answer.code, answer.status) == (code, status)
        assert f"| {code} | {status} |" in text
