"""Quotas in fixed windows of one minute per region and action, as the vendor counts: once used up, until the next minute."""

from threading import Lock


class Throttle:
    """Counts calls; only the present minute is remembered."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._minute = 0
        self._counts: dict[tuple[str, str], int] = {}

    def admits(self, *, region: str, action: str, quota: int | None, now: float) -> bool:
        """Count one call and say whether it is within the quota; None means without limit."""
        if quota is None:
            return True
        minute = int(now // 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._counts = minute, {}
            used = self._counts.get((region, action), 0)
            if used >= quota:
                return False
            self._counts[region, action] = used + 1
            return True

    def reset(self) -> None:
        """Forget all counts."""
        with self._lock:
            self._counts = {}
