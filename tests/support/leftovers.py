"""Find what a start left running: every process that belongs to one `var` folder."""

import contextlib
import os
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]


def processes_of(*, folder: Path) -> list[psutil.Process]:
    """Return the living processes that name `folder` in their arguments, environment or working folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            named = [*process.cmdline(), process.cwd(), process.environ().get("FLEET_VAR", "")]
            if any(str(folder) in each for each in named):
                found.append(process)
    return found


def wait_until_gone(*, folder: Path, seconds: float) -> list[str]:
    """Wait until no process of `folder` is left; return the command lines of those that are, after `seconds`."""
    end = time.monotonic() + seconds
    while (left := processes_of(folder=folder)) and time.monotonic() < end:
        time.sleep(0.05)
    lines = []
    for process in left:
        with contextlib.suppress(psutil.Error):
            lines.append(f"{process.pid} {' '.join(process.cmdline())}")
    return lines
