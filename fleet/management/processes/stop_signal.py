"""How a process is asked to stop: signals set a flag and wake the main loop, and do nothing else.

A handler that takes a lock, as `threading.Event.set` does, may interrupt the loop while it holds that very lock, and hang.
"""

import contextlib
import os
import select
import signal
from types import FrameType


class Stop:
    """Whether somebody asked this process to stop (Ctrl-C, SIGTERM, a closed terminal)."""

    def __init__(self) -> None:
        self.asked = False
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)
        # Without a handler of ours the end of a child would not wake the loop.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def wait(self, *, seconds: float) -> bool:
        """Wait at most `seconds`, less if asked to stop or if a child ends; return whether asked to stop."""
        if not self.asked:
            select.select([self._reader], [], [], seconds)
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)
        return self.asked
