"""The guardian by itself: what it ends and in which order, and that a killed one is replaced."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.management.processes.child import Process, spawn, wait_for
from fleet.management.processes.guardian import Guardian

pytestmark = pytest.mark.process

# Writes down when it is asked to stop; one that is stubborn goes on all the same.
CHILD = """
import signal, sys, time
name, book, stubborn = sys.argv[1], sys.argv[2], sys.argv[3] == "stubborn"
def stop(number, frame):
    with open(book, "a") as file:
        file.write(name + "\\n")
    if not stubborn:
        sys.exit()
signal.signal(signal.SIGTERM, stop)
with open(book, "a") as file:
    file.write("ready\\n")
while True:
    time.sleep(60)
"""


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    guardian = Guardian()
    yield guardian
    guardian.close()


def start(guardian: Guardian, name: str, book: Path, *, stubborn: bool = False, grace: float = 5) -> Process:
    before = book.read_text().count("ready") if book.exists() else 0
    child = spawn(
        name=name,
        command=[sys.executable, "-c", CHILD, name, book, "stubborn" if stubborn else "willing"],
        guardian=guardian,
        log=None,
        environment=dict(os.environ),
        folder=book.parent,
        grace=grace,
    )
    assert wait_for(what=lambda: book.exists() and book.read_text().count("ready") > before, seconds=10)
    return child


def test_closing_it_ends_what_is_held_newest_first(tmp_path: Path) -> None:
    guardian = Guardian()
    book = tmp_path / "book"
    children = [start(guardian, name, book) for name in ("database", "emulator", "web")]

    guardian.close()

    assert book.read_text().split()[3:] == ["web", "emulator", "database"]
    for child in children:
        assert wait_for(what=lambda child=child: child.exit_code is not None, seconds=5)  # type: ignore[misc]
        child.clear()


def test_what_was_dropped_is_left_alone(tmp_path: Path) -> None:
    guardian = Guardian()
    book = tmp_path / "book"
    child = start(guardian, "kept", book)
    guardian.drop(pid=child.pid)

    guardian.close()

    assert child.exit_code is None
    child.kill()


def test_a_stubborn_child_is_killed_with_its_group_after_its_grace(guardian: Guardian, tmp_path: Path) -> None:
    child = start(guardian, "stubborn", tmp_path / "book", stubborn=True, grace=0.3)

    child.stop()

    assert child.exit_code == -signal.SIGKILL


def test_a_killed_guardian_is_replaced_and_told_everything(tmp_path: Path) -> None:
    guardian = Guardian()
    child = start(guardian, "web", tmp_path / "book")
    os.kill(guardian.pid, signal.SIGKILL)
    assert wait_for(what=guardian.restart_if_gone, seconds=5)
    assert not guardian.restart_if_gone()

    guardian.close()

    assert wait_for(what=lambda: child.exit_code == 0, seconds=5)
    child.clear()


def test_the_guardian_ignores_the_terminals_ctrl_c(guardian: Guardian) -> None:
    assert os.getsid(guardian.pid) == guardian.pid != os.getsid(0)

    os.kill(guardian.pid, signal.SIGINT)

    with pytest.raises(subprocess.TimeoutExpired):
        guardian._process.wait(timeout=0.3)
