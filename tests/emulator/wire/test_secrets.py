"""A password, a secret, a token never reaches the journal, the logs, the page, the state file."""

import urllib.parse
from pathlib import Path

import pytest

from tests.emulator.caller import EXAMPLE, Emulated
from tests.emulator.running import running

PASSWORD = "Hidden7Horse^%"
ME = EXAMPLE["InstanceId"]
WAYS: list[tuple[str, dict[str, str]]] = [
    ("ReplaceSystemDisk", {**EXAMPLE, "Password": PASSWORD}),
    ("ReplaceSystemDisk", {**EXAMPLE, "Password": PASSWORD + " not valid"}),
    ("ReplaceSystemDisk", {**EXAMPLE, "Password": PASSWORD, "PasswordInherit": "true"}),
    ("ReplaceSystemDisk", {**EXAMPLE, "password": PASSWORD, "PassWd": PASSWORD, "AdminPwd": PASSWORD}),
    ("DescribeRegions", {"Password": PASSWORD, "AccessKeySecret": PASSWORD}),
    ("NoSuchAction", {"Password": PASSWORD}),
    ("RunCommand", {"Type": "RunShellScript", "CommandContent": f"echo {PASSWORD}", "InstanceId.1": ME}),
    (
        "RunCommand",
        {"Type": "RunShellScript", "CommandContent": f"{PASSWORD}", "KeepCommand": "true", "InstanceId.1": ME},
    ),
    ("RunCommand", {"Type": "RunShellScript", "CommandContent": "x", "Parameters": PASSWORD, "InstanceId.1": ME}),
    ("ReplaceSystemDisk", {**EXAMPLE, "Password": PASSWORD, "SecurityToken": PASSWORD}),
]


@pytest.mark.parametrize("where", ["query", "form"])
@pytest.mark.parametrize(("action", "values"), WAYS)
def test_the_journal_and_the_page_hide_it(emu: Emulated, action: str, values: dict[str, str], where: str) -> None:
    emu.send(action, where=where, **values)
    entry = emu.last_call()
    assert PASSWORD not in str(entry)
    assert "***" in str(entry["params"])
    assert PASSWORD not in emu.client.get("/__emulator__/").text
    assert "Signature" not in entry["params"]


def test_a_wrong_signature_does_not_put_it_in_the_journal(emu: Emulated) -> None:
    """The message echoes what was signed, to the one who sent it, and to nobody else."""
    response = emu.send("ReplaceSystemDisk", **EXAMPLE, Password=PASSWORD, Signature="AAAA", AccessKeyId="emulator")
    entry = emu.last_call()
    assert entry["code"] in ("", "SignatureDoesNotMatch")
    bad = emu.client.post(response.request.path + "?" + response.request.query_string.decode() + "x")
    assert "SignatureDoesNotMatch" in bad.text
    assert emu.last_call()["code"] == "SignatureDoesNotMatch"
    whole = str(emu.told("GET", "journal"))
    assert PASSWORD not in whole
    assert urllib.parse.quote(PASSWORD) not in whole


@pytest.mark.process
def test_no_log_and_no_file_holds_it(tmp_path: Path) -> None:
    """Bytes on stdout and stderr, and every file of the state, after calls of every kind and a kill."""
    state = tmp_path / "state.db"
    with running("--state", str(state), "--access-key", "emulator:emulator-secret") as emulator:
        for action, values in WAYS:
            emulator.call(action, **values)
        status, _ = emulator.request("POST", f"/?Password={urllib.parse.quote(PASSWORD)}&Action=ReplaceSystemDisk")
        assert status == 400
        emulator.request("GET", f"/{urllib.parse.quote(PASSWORD)}")
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        _, out, err = emulator.end()
    files["after"] = state.read_bytes()
    files["output"] = (out + err).encode()
    assert len(files) >= 4
    for name, content in files.items():
        assert PASSWORD.encode() not in content, name
        assert b"emulator-secret" not in content, name
    assert err == ""
