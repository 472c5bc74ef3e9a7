"""Child processes: each is started in a process group of its own, held by the guardian, and ended with its whole group."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path

from fleet.management.processes.guardian import Guardian, group_alive, kill_group, tied_to_parent

LARGEST_LOG = 5 * 1024 * 1024  # bytes; a larger log is put aside when its process starts


class CannotStart(Exception):
    """A sentence for the person at the terminal: what is in the way, and what to do about it."""


@dataclass(frozen=True, kw_only=True)
class SystemUser:
    """A user of the operating system that a child runs as."""

    name: str
    uid: int
    gid: int


class Process:
    """One running child and its process group."""

    def __init__(
        self, *, name: str, popen: subprocess.Popen[bytes], guardian: Guardian, stop_with: int, grace: float
    ) -> None:
        self.name = name
        self.pid = popen.pid
        self._popen = popen
        self._guardian = guardian
        self._stop_with = stop_with
        self._grace = grace
        guardian.hold(pid=popen.pid, stop_with=stop_with, grace=grace)

    @property
    def exit_code(self) -> int | None:
        """How the child ended (negative: by which signal), or None while it runs."""
        return self._popen.poll()

    def stop(self) -> None:
        """Ask the child to stop, wait, then kill what is left of its group; a second call does nothing."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(self._stop_with)
        try:
            self._popen.wait(timeout=self._grace)
        except subprocess.TimeoutExpired:
            kill_group(group=self.pid)
        self.clear()

    def kill(self) -> None:
        """Kill the whole group at once."""
        kill_group(group=self.pid)
        self.clear()

    def clear(self) -> None:
        """Reap the child, and kill what it left behind in its group."""
        self._popen.wait()
        end = time.monotonic() + 2.0
        while group_alive(group=self.pid) and time.monotonic() < end:
            kill_group(group=self.pid)
            time.sleep(0.02)
        self._guardian.drop(pid=self.pid)


def spawn(
    *,
    name: str,
    command: Sequence[str | Path],
    guardian: Guardian,
    log: Path | None,
    environment: dict[str, str],
    folder: Path,
    stop_with: int = signal.SIGTERM,
    grace: float = 10.0,
    user: SystemUser | None = None,
) -> Process:
    """Start a child in its own session, its output appended to `log` (None: to our own); main thread only."""
    with open_log(path=log) if log else contextlib.nullcontext() as output:
        popen = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            cwd=folder,
            env=environment,
            start_new_session=True,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
            preexec_fn=tied_to_parent(stop_with=stop_with),
        )
    return Process(name=name, popen=popen, guardian=guardian, stop_with=stop_with, grace=grace)


def open_log(*, path: Path) -> BufferedWriter:
    """Open a log for appending, readable by its owner only, after putting a large one aside as `<name>.1`."""
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_name(path.name + ".1"))
    return open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def tail(*, path: Path, lines: int = 15) -> str:
    """Return the last lines of a log, or nothing if there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64 * 1024))
        return "\n".join(deque(file.read().decode(errors="replace").splitlines(), maxlen=lines))


def clean_environment(*, without_proxies: bool, **added: str) -> dict[str, str]:
    """Return this process's environment for a child.

    The cloud's SDK ignores NO_PROXY: with a proxy in the environment, calls to the emulator on loopback
    would leave the machine.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not (without_proxies and name.lower() in {"http_proxy", "https_proxy", "all_proxy"})
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **added}


def wait_for(*, what: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    """Wait until `what` is true, at most `seconds`, and say whether it is."""
    end = time.monotonic() + seconds
    while not (done := what()) and time.monotonic() < end:
        time.sleep(every)
    return done


def port_fault(*, host: str, port: int, option: str) -> str:
    """Return why nothing can listen on the port, a sentence that names the option to change, or nothing."""
    if not 1 <= port <= 65535:
        return f"{option} {port} is not a port. Give a number from 1 to 65535."
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        return f"The address {host} is not known here. Give another with --host."
    with socket.socket(family, kind) as probe:
        # As a server does: a connection that has just ended does not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"Port {port} is in use by another program. End it, or give another port with {option}."
            if error.errno == errno.EADDRNOTAVAIL:
                return f"This machine does not have the address {host}. Give another with --host."
            return f"Port {port} cannot be opened ({error.strerror}). Give another port with {option}."
    return ""


def free_port() -> int:
    """Return a port of the loopback address on which nothing listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
