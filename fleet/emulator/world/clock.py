"""The emulator's only source of time."""

import time


class Clock:
    """The present time in seconds since 1970; a test may freeze it or move it forward."""

    def __init__(self, *, frozen_at: float | None = None) -> None:
        self._frozen_at = frozen_at

    def now(self) -> float:
        """Return the real time, or the frozen one."""
        return time.time() if self._frozen_at is None else self._frozen_at

    def advance(self, *, seconds: float) -> None:
        """Move a frozen clock; a real one is frozen first, at the present."""
        self._frozen_at = self.now() + seconds
