"""Whether the task cluster lives, as the watchdog concludes from what it sees. Knows neither clock nor database."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class QueueSnapshot:
    """What the database shows of the queue at one moment."""

    beat: datetime | None  # when a tick last said that it ran
    queued: frozenset[int]  # rows of tasks that are not acknowledged, whether they wait or run
    tick_waits: bool  # a tick is queued and nobody has taken it


@dataclass(kw_only=True)
class Liveness:
    """Judge a cluster by progress alone, so that no two clocks are ever compared.

    It lives while ticks are *executed* (the heartbeat moves) and tasks are *acknowledged* (queued rows go
    away). Both are needed: with a dead monitor ticks still run, again and again, and none is ever
    acknowledged. `stale` is how many seconds either may stand still.
    """

    stale: float
    _beat: datetime | None = None
    _executed_at: float = 0.0
    _queued: frozenset[int] = field(default_factory=frozenset)
    _acknowledged_at: float = 0.0
    _begun_at: float = 0.0
    _has_looked: bool = False
    _asked: bool = False

    def begin(self, *, now: float) -> None:
        """Start counting afresh, for a new cluster or after the database was away. `now`: seconds of a monotonic clock."""
        self._begun_at = self._executed_at = self._acknowledged_at = now
        self._has_looked = self._asked = False

    @property
    def proven(self) -> bool:
        """Whether a tick was executed and a task acknowledged since `begin`."""
        return self._last_sign > self._begun_at

    def fault(self, *, snapshot: QueueSnapshot, now: float) -> str:
        """Take note of what the queue shows; return why the cluster counts as stuck, or nothing."""
        if self._has_looked and snapshot.beat != self._beat:
            self._executed_at = now
        if not snapshot.queued or (self._has_looked and self._queued - snapshot.queued):
            self._acknowledged_at = now
        self._has_looked, self._beat, self._queued = True, snapshot.beat, snapshot.queued
        if now - self._executed_at > self.stale:
            return f"no tick was executed for {now - self._executed_at:.0f} s"
        if now - self._acknowledged_at > self.stale:
            return f"no task was acknowledged for {now - self._acknowledged_at:.0f} s"
        return ""

    def wants_tick(self, *, snapshot: QueueSnapshot, now: float) -> bool:
        """Say whether to queue a tick: at the beginning, and whenever nothing was executed or acknowledged for a while.

        Others' ticks and a runner's turns are executed without a task of this cluster, and rows that a dead cluster had
        taken stay for minutes: without a tick of its own an idle cluster beside them would have nothing to show.
        """
        return not snapshot.tick_waits and (not self._asked or now - self._last_sign >= self.stale / 4)

    @property
    def _last_sign(self) -> float:
        return min(self._executed_at, self._acknowledged_at)

    def note_queued(self, *, task: int) -> None:
        """Take note of a task that was queued just now: it may come and go before the next snapshot."""
        self._queued |= {task}
        self._asked = True
