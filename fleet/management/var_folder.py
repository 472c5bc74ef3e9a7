"""What `up` keeps in `var/`: generated secrets, and the lock that lets only one start use the folder."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from fleet.management.processes.child import CannotStart

ENDING_WITHIN = 40.0  # seconds in which the processes of an `up` that was killed must have ended


def make_folder(*, path: Path) -> None:
    """Make `var` where it is missing: the database's user must pass through it, but nobody else lists it."""
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(0o711)


def write_private(*, path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def kept_secret(*, path: Path, make: Callable[[], str]) -> str:
    """Return the secret kept in `path`, which the first call makes; raises `CannotStart` where others can read or write it."""
    if not path.exists():
        write_private(path=path, text=make())
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise CannotStart(
            f"{path} can be read or written by other users of this machine (mode {mode:03o}). Run `chmod 600 {path}`; "
            "if somebody may have read it, replace what it holds."
        )
    return path.read_text().strip()


class FolderLock:
    """The lock on `var/`: held by this process and by its guardian, which may outlive it a little."""

    def __init__(self, *, folder: Path) -> None:
        self._path = folder / "lock"
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)

    @property
    def handle(self) -> int:
        """The open file; whoever inherits it holds the lock too."""
        return self._handle

    def take(self, *, say: Callable[[str], None]) -> None:
        """Take the lock, waiting for one that is about to end; raises `CannotStart` when another start uses the folder."""
        end = time.monotonic() + ENDING_WITHIN
        announced = False
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            holder = self._holder()
            if holder or time.monotonic() > end:
                raise CannotStart(
                    f"{self._path.parent} is in use by another start (process {holder or 'unknown'}). "
                    "Stop that one with Ctrl-C, or set FLEET_VAR to another folder."
                )
            if not announced:
                say("The last start was killed; waiting until its processes have ended.")
                announced = True
            time.sleep(0.1)
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()} {_started_at(os.getpid())}\n".encode(), 0)

    def release(self) -> None:
        """Give the folder back."""
        os.close(self._handle)

    def _holder(self) -> int | None:
        """Return the process that wrote itself into the lock, if that very process still runs."""
        with contextlib.suppress(ValueError, psutil.Error):
            pid, started = os.pread(self._handle, 100, 0).decode().split()
            if _started_at(int(pid)) == started and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE:
                return int(pid)
        return None


def _started_at(pid: int) -> str:
    return f"{psutil.Process(pid).create_time():.2f}"
