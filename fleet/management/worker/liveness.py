"""Whether a task cluster lives: what the watchdog concludes from what it sees; no clock, no database."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class QueueSnapshot:
    """What one look at the database shows."""

    beat: datetime | None  # when a tick last said that it ran
    queued: frozenset[int]  # tasks that are not acknowledged, whether waiting or running
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
    _looked: bool = False
    _rung: bool = False

    def begin(self, *, now: float) -> None:
        """Start counting afresh: a new cluster, or a database that is back."""
        self._begun_at = self._executed_at = self._acknowledged_at = now
        self._looked = self._rung = False

    @property
    def proven(self) -> bool:
        """Whether a tick was executed and a task acknowledged since the beginning."""
        return self._last_sign > self._begun_at

    def fault(self, *, sight: QueueSnapshot, now: float) -> str:
        """Take in one look; return why the cluster counts as stuck, or nothing. `now`: monotonic seconds."""
        if self._looked and sight.beat != self._beat:
            self._executed_at = now
        if not sight.queued or (self._looked and self._queued - sight.queued):
            self._acknowledged_at = now
        self._looked, self._beat, self._queued = True, sight.beat, sight.queued
        if now - self._executed_at > self.stale:
            return f"no tick was executed for {now - self._executed_at:.0f} s"
        if now - self._acknowledged_at > self.stale:
            return f"no task was acknowledged for {now - self._acknowledged_at:.0f} s"
        return ""

    def wants_bell(self, *, sight: QueueSnapshot, now: float) -> bool:
        """Say whether to ring: at the beginning, and whenever there was nothing to execute or acknowledge for a while.

        Others' ticks and a runner's turns are executed without a task of this cluster, and rows that a dead cluster had
        taken stay for minutes: without a ring an idle cluster beside them would have nothing to show.
        """
        return not sight.tick_waits and (not self._rung or now - self._last_sign >= self.stale / 4)

    @property
    def _last_sign(self) -> float:
        return min(self._executed_at, self._acknowledged_at)

    def rang(self, *, task: int) -> None:
        """Remember a task that was queued just now: it may come and go between two looks."""
        self._queued |= {task}
        self._rung = True
