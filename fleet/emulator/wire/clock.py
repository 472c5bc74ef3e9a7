"""The emulator's only source of time, and the two formats in which the API writes it."""

import time
from datetime import UTC, datetime


class Clock:
    """Answers the present time in seconds since 1970; a test may freeze it or move it forward."""

    def __init__(self, *, frozen_at: float | None = None) -> None:
        self._frozen_at = frozen_at

    def now(self) -> float:
        """Returns the real time, or the frozen one."""
        return time.time() if self._frozen_at is None else self._frozen_at

    def advance(self, *, seconds: float) -> None:
        """Moves a frozen clock; a real one is frozen first, at the present."""
        self._frozen_at = self.now() + seconds


def to_second(at: float) -> str:
    """Writes a time as disks, images and snapshots show it: 2024-04-16T02:11:02Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_minute(at: float) -> str:
    """Writes a time as instances show it: 2024-04-14T22:32Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")


def parse_time(text: str) -> float:
    """Reads either format; raises ValueError on anything else."""
    for shape in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ"):
        try:
            return datetime.strptime(text, shape).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise ValueError(f"not a time in UTC such as 2024-04-16T02:11:02Z: {text!r}")
