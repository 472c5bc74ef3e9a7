"""Start `manage.py up` as a person does, and read what it says."""

import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.management.processes.child import free_port

ROOT = Path(__file__).resolve().parents[2]
READY = "Fleet OS is at"
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Up:
    """One running `up` on its own folder and ports."""

    def __init__(self, *, folder: Path, port: int, emulator_port: int, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.port = port
        self.lines: list[str] = []
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "manage.py", "up", "--port", str(port)),
                *("--emulator-port", str(emulator_port), "--instances", "60", *options),
            ],
            cwd=ROOT,
            env=environment | {"FLEET_VAR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def said(self) -> str:
        """Everything it has printed so far."""
        return "\n".join(self.lines)

    def wait_for(self, text: str, *, seconds: float) -> None:
        """Wait until it has printed `text`; fails when it ends or takes longer."""
        end = time.monotonic() + seconds
        while text not in self.said:
            assert self.process.poll() is None, f"it ended (code {self.process.returncode}):\n{self.said}"
            assert time.monotonic() < end, f"no {text!r} in {seconds} s:\n{self.said}"
            time.sleep(0.05)

    def password(self) -> str:
        """Return the password it printed for the sign-ins."""
        found = re.search(r"password of all four: (\S+)", self.said)
        assert found
        return found[1]

    def get(self, path: str) -> tuple[int, str]:
        """Ask the site for a page; return status and text."""
        with _opener.open(f"http://localhost:{self.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()

    def end(self) -> int:
        """Wait until it has ended by itself and everything it printed is read; return its exit code."""
        code = self.process.wait(timeout=60)
        self._reader.join(timeout=10)
        return code

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
        self.process.stdout.close()


@contextmanager
def up(*, folder: Path, port: int = 0, emulator_port: int = 0, options: tuple[str, ...] = ()) -> Iterator[Up]:
    """Start `up` on free ports unless some are given, and kill it at the end if it still runs."""
    launch = Up(folder=folder, port=port or free_port(), emulator_port=emulator_port or free_port(), options=options)
    try:
        yield launch
    finally:
        if launch.process.poll() is None:
            launch.process.kill()
        launch.end()
