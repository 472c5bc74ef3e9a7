"""`manage.py up`: it serves, refuses with a sentence, mends what dies, and leaves nothing behind, however it ends."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from fleet.management.processes.child import free_port, wait_for
from tests.support.emulator import Emulator
from tests.support.launches import READY, up
from tests.support.leftovers import processes_of, wait_until_gone

pytestmark = pytest.mark.process
EXAMPLE = "i-23jggx34b"  # the machine of the API's own example is in every demo fleet
START_WITHIN = 60.0  # seconds; measured 6 to 8 on two idle cores


def child(folder: Path, *words: str) -> psutil.Process:
    """Return the oldest process of the folder whose command line holds all words."""
    found = [each for each in processes_of(folder=folder) if all(word in " ".join(each.cmdline()) for word in words)]
    return min(found, key=lambda each: each.create_time())


def test_it_serves_mends_refuses_a_second_one_and_ends_whole_on_ctrl_c(var: Path) -> None:
    with up(folder=var) as first:
        first.wait_for(READY, seconds=START_WITHIN)
        status, text = first.get("/healthz")
        assert status == 200
        assert json.loads(text)["database"] == "ok"
        assert wait_for(
            what=lambda: json.loads(first.get("/healthz")[1])["worker"]["state"] == "ok", seconds=30, every=0.3
        )

        with up(folder=var) as second:
            assert second.end() == 1
        assert f"{var} is in use by another start (process {first.process.pid})" in second.said
        assert "PostgreSQL" not in second.said

        web = child(var, "gunicorn")
        os.killpg(web.pid, signal.SIGKILL)
        first.wait_for("web ended by itself (signal 9); starting it again", seconds=10)

        def serves_again() -> bool:
            try:
                return first.get("/healthz")[0] == 200
            except OSError:
                return False

        assert wait_for(what=serves_again, seconds=20)

        os.kill(first.process.pid, signal.SIGINT)
        assert first.end() == 0
        assert first.said.endswith("Stopped.")

    assert wait_until_gone(folder=var, seconds=1) == []
    assert not (var / "database.url").exists()
    for name in ("secret-key", "seal-keys", "demo-password", "postgres-password"):
        assert (var / name).stat().st_mode & 0o777 == 0o600


def test_killed_it_leaves_nothing_and_the_next_one_goes_on(var: Path) -> None:
    with up(folder=var) as first:
        first.wait_for(READY, seconds=START_WITHIN)
        ports = {"port": first.port, "emulator_port": emulator_port(var)}
        emulated(ports).patch_instance(EXAMPLE, InstanceName="renamed-before-the-kill")
        first.process.kill()
    # At once: it waits until the ports and the folder are free.
    with up(folder=var, port=ports["port"], emulator_port=ports["emulator_port"]) as second:
        second.wait_for(READY, seconds=START_WITHIN)
        assert second.password() == first.password()
        assert second.get("/sign-in")[0] == 200
        shown = emulated(ports).call("GET", f"instances/{EXAMPLE}")
        assert shown["InstanceName"] == "renamed-before-the-kill"

        # Now the guardian first: what is left is the kernel's signal to the children.
        guardian = child(var, "guardian.py")
        assert guardian.ppid() == second.process.pid
        second.process.send_signal(signal.SIGSTOP)  # or it would start another guardian
        guardian.kill()
        second.process.kill()

    assert wait_until_gone(folder=var, seconds=12) == []


def emulated(ports: dict[str, int]) -> Emulator:
    return Emulator(url=f"http://127.0.0.1:{ports['emulator_port']}", port=ports["emulator_port"])


def emulator_port(folder: Path) -> int:
    arguments = child(folder, "fleet.emulator").cmdline()
    return int(arguments[arguments.index("--port") + 1])


def test_a_port_in_use_is_named_before_anything_is_started(var: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        begin = time.monotonic()
        with up(folder=var, port=port) as by_site:
            assert by_site.end() == 1
        with up(folder=var, emulator_port=port) as by_emulator:
            assert by_emulator.end() == 1

    sentence = f"Port {port} is in use by another program. End it, or give another port with"
    assert by_site.said == f"{sentence} --port."
    assert by_emulator.said == f"{sentence} --emulator-port."
    assert not (var / "postgres").exists()
    assert time.monotonic() - begin < 15


def test_one_port_cannot_serve_both(var: Path) -> None:
    port = free_port()
    with up(folder=var, port=port, emulator_port=port) as launch:
        assert launch.end() == 1
    assert launch.said == f"--port and --emulator-port are both {port}. Give two different ports."


def test_a_failing_step_shows_the_end_of_its_log(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With a broken key the demo's credential cannot be sealed.
    monkeypatch.setenv("FLEET_SEAL_KEYS", "not a key")

    with up(folder=var) as launch:
        code = launch.end()

    assert code == 1
    assert "manage.py demo failed" in launch.said
    assert wait_until_gone(folder=var, seconds=1) == []
