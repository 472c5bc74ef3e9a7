"""The state file: what was answered is never forgotten, however the process ends."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fleet.emulator.world.codec import from_text, to_text
from fleet.emulator.world.resources import KeyPair
from tests.emulator.caller import EXAMPLE
from tests.emulator.running import ROOT, Running, running

ME = EXAMPLE["InstanceId"]
PASSWORD = "Very5ecret-Horse"


def replacements(emulator: Running) -> list[str]:
    disks = emulator.control("GET", f"ledger?instance={ME}")["disks"]
    return [disk["disk_id"] for disk in disks if disk["how"] == "ReplaceSystemDisk"]


@pytest.mark.process
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_everything_goes_on_after_a_restart(tmp_path: Path, end: int) -> None:
    state = str(tmp_path / "new folder" / "state.db")
    with running("--state", state, "--seed", "5") as emulator:
        emulator.control("PUT", "durations", {"replace": 3600, "stop": 0})
        emulator.control("PUT", "quotas", {"DescribeImages": 7})
        emulator.control("PATCH", "images/m-myimage11", {"not_resizable": False, "Description": "kept"})
        public = "ubuntu_18_04_x64_20G_alibase_20230727.vhd"
        emulator.control("DELETE", f"images/{public}")
        answer = emulator.call("ReplaceSystemDisk", **EXAMPLE, ClientToken="t", Password=PASSWORD)
        assert answer.status == 200
        before = {
            path: emulator.control("GET", path)
            for path in ("ledger", "journal", f"instances/{ME}", "durations", "quotas")
        }
        code, out, err = emulator.end(end)
        assert code == (0 if end != signal.SIGKILL else -signal.SIGKILL)
        assert (out, err) == ("", "")
    with running("--state", state, "--seed", "99", "--speed", "2", instances=7) as emulator:
        after = {path: emulator.control("GET", path) for path in before}
        assert after == before
        assert emulator.control("GET", "settings")["speed"] == 2
        again = emulator.call("ReplaceSystemDisk", **EXAMPLE, ClientToken="t", Password=PASSWORD)
        assert again.data["DiskId"] == answer.data["DiskId"]
        other = emulator.call("ReplaceSystemDisk", **EXAMPLE, ClientToken="t", Password="Other5ecret")
        assert other.code == "IdempotentParameterMismatch"
        assert emulator.call("DescribeImages", RegionId="cn-hangzhou", ImageId=public).data["TotalCount"] == 0
        assert replacements(emulator) == [answer.data["DiskId"]]
        assert emulator.end()[0] == 0
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["state.db"]
    assert (tmp_path / "new folder" / "state.db").stat().st_mode & 0o077 == 0
    assert PASSWORD.encode() not in Path(state).read_bytes()


@pytest.mark.process
def test_killed_in_the_middle_of_calls(tmp_path: Path) -> None:
    """Several callers send token after token; after a kill -9 every answer they got holds, and each token did one thing."""
    state = str(tmp_path / "state.db")
    answered: dict[str, str] = {}
    enough = threading.Event()
    with running("--state", state) as emulator:
        emulator.control("PUT", "durations", {"replace": 0})
        emulator.control("PUT", "quotas", {"ReplaceSystemDisk": None})

        def work(name: str) -> None:
            for number in range(10**6):
                try:
                    answer = emulator.call("ReplaceSystemDisk", **EXAMPLE, ClientToken=f"{name}-{number}")
                except OSError:
                    return
                answered[f"{name}-{number}"] = answer.data.get("DiskId", answer.code)
                if len(answered) > 60:
                    enough.set()

        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        emulator.end(signal.SIGKILL)
        for thread in threads:
            thread.join()
    with running("--state", state) as emulator:
        disks = emulator.control("GET", f"ledger?instance={ME}")["disks"]
        made = {disk["client_token"]: disk["disk_id"] for disk in disks if disk["client_token"]}
        assert len(made) == len(disks) - 1
        assert {token: made.get(token) for token in answered} == answered
        assert len(made) - len(answered) <= len("abc")
        for token, disk_id in made.items():
            assert emulator.call("ReplaceSystemDisk", **EXAMPLE, ClientToken=token).data["DiskId"] == disk_id
        assert len(emulator.control("GET", f"ledger?instance={ME}")["disks"]) == len(disks)
        assert sum(disk["released_at"] is None for disk in disks) == 1
        emulator.end()


def test_a_file_of_another_version_is_read() -> None:
    """A field that has gone is left out, one that has come takes its default."""
    pair = KeyPair("ops", "cn-hangzhou", "fingerprint", 1.0)
    written = json.loads(to_text(pair))
    assert from_text("KeyPair", json.dumps({**written, "from_another_version": 1})) == pair
    del written["tags"]
    assert from_text("KeyPair", json.dumps(written)) == pair


@pytest.mark.process
def test_without_a_file_nothing_is_kept() -> None:
    with running() as emulator:
        assert emulator.call("ReplaceSystemDisk", **EXAMPLE).status == 200
        assert emulator.end()[0] == 0
    with running() as emulator:
        assert replacements(emulator) == []


def start(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fleet.emulator", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


@pytest.mark.process
def test_a_port_in_use() -> None:
    with running() as emulator:
        second = start("--port", str(emulator.port))
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"Port {emulator.port}" in second.stderr


@pytest.mark.process
def test_a_state_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("This is a letter, not a database. " * 50, encoding="utf-8")
    ended = start("--port", "0", "--state", str(path))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert str(path) in ended.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    "options",
    [("--port", "x"), ("--port", "70000"), ("--instances", "-1"), ("--speed", "0"), ("--access-key", "alone")],
)
def test_options_that_cannot_be(options: tuple[str, str]) -> None:
    ended = start(*options)
    assert ended.returncode == 2
    assert options[0] in ended.stderr


@pytest.mark.process
def test_describe_needs_no_port() -> None:
    ended = start("--describe")
    assert ended.returncode == 0
    assert "| ReplaceSystemDisk |" in ended.stdout


@pytest.mark.process
def test_the_file_is_an_ordinary_database(tmp_path: Path) -> None:
    """A file left by a kill is read as it is: no repair, no lock."""
    with running("--state", str(tmp_path / "state.db")) as emulator:
        emulator.end(signal.SIGKILL)
    connection = sqlite3.connect(tmp_path / "state.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kinds = dict(connection.execute("SELECT kind, count(*) FROM resource GROUP BY kind").fetchall())
    finally:
        connection.close()
    assert kinds["Instance"] == 40
