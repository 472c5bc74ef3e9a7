"""End what a process started when that process is gone without a word (`kill -9`).

Twice over. A *guardian*, a small process in a session of its own, reads a pipe that only its owner can write to:
when the pipe closes, it ends every process group that it was told to hold, the newest first. And on Linux every
child asks the kernel to be signalled when its parent dies, so that a killed guardian changes nothing.

This file is also the guardian's program, run by its path: it uses the standard library only.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LONGEST_GRACE = 5.0  # seconds the guardian gives each process: its owner is dead, and somebody may be waiting to start
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def alive(*, pid: int) -> bool:
    """Say whether the process runs; a zombie, which only waits to be reaped by its parent, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in (b"Z", b"X")


def group_alive(*, group: int) -> bool:
    """Say whether any process of the group still exists."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def kill_group(*, group: int) -> None:
    """Kill what is left of a process group, at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def finish(*, pid: int, stop_with: int, grace: float) -> None:
    """Ask a group's leader `pid` to stop, wait `grace` seconds, then kill what is left of the group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, stop_with)
    end = time.monotonic() + grace
    while time.monotonic() < end and alive(pid=pid):
        time.sleep(0.05)
    kill_group(group=pid)


def tied_to_parent(*, stop_with: int) -> Callable[[], None] | None:
    """Return what a child must run before its program, so that it gets the signal `stop_with` when this process dies.

    The kernel looks at the *thread* that started the child: call this, and start the child, in the main thread.
    """
    if _libc is None:
        return None
    prctl = _libc.prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(stop_with), 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return tie


def _ignore_signals() -> None:
    # Kept across the start of the guardian's program: there is no moment in which it can be asked to stop.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


class Guardian:
    """The guardian of this process, as seen from here: it is told which process groups to hold.

    `keep` are open files (a lock) that the guardian keeps open too, until it has ended what it held.
    """

    def __init__(self, *, keep: tuple[int, ...] = ()) -> None:
        self._keep = keep
        self._held: dict[int, str] = {}
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=self._keep,
            start_new_session=True,  # Ctrl-C in the terminal must not reach it
            preexec_fn=_ignore_signals,
            cwd="/",
            text=True,
        )

    @property
    def pid(self) -> int:
        """The guardian's process id."""
        return self._process.pid

    def hold(self, *, pid: int, stop_with: int, grace: float) -> None:
        """Hold the process group that `pid` leads; it is ended before all that were held earlier."""
        self._held[pid] = f"hold {pid} {int(stop_with)} {grace}\n"
        self._tell(self._held[pid])

    def drop(self, *, pid: int) -> None:
        """Forget a process group that has ended."""
        if self._held.pop(pid, None):
            self._tell(f"drop {pid}\n")

    def restart_if_gone(self) -> bool:
        """Start a new guardian if the present one is gone, and say whether that was so."""
        if self._process.poll() is None:
            return False
        self._close_pipe()
        self._process = self._start()
        for line in self._held.values():
            self._tell(line)
        return True

    def close(self) -> None:
        """End the guardian, and with it whatever is still held."""
        self._close_pipe()
        self._process.wait()

    def _close_pipe(self) -> None:
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _tell(self, line: str) -> None:
        # A dead guardian is replaced by the next `restart_if_gone`, which tells the new one everything.
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            return
        with contextlib.suppress(OSError):
            self._process.stdin.write(line)
            self._process.stdin.flush()


def guard(*, lines: Iterable[str]) -> None:
    """Read `hold` and `drop` lines until the owner closes the pipe, then end what is held, newest first."""
    held: dict[int, tuple[int, float]] = {}
    for line in lines:
        word, *numbers = line.split()
        if word == "hold":
            held[int(numbers[0])] = (int(numbers[1]), float(numbers[2]))
        else:
            held.pop(int(numbers[0]), None)
    for pid, (stop_with, grace) in reversed(held.items()):
        finish(pid=pid, stop_with=stop_with, grace=min(grace, LONGEST_GRACE))


if __name__ == "__main__":
    guard(lines=sys.stdin)
