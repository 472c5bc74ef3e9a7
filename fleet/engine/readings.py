"""Fresh readings for a batch, with as few calls as possible: a reading that is a moment old serves the next state too."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from fleet.engine.codes import SNAPSHOT_IN_PROGRESS
from fleet.engine.results import Move, Result, State
from fleet.inventory.reading import Reading, refresh
from fleet.lib.clock import Clock
from fleet.models import Replacement

# A machine that moved on without being acted on need not be read again at once: half the age that the irreversible call allows.
LASTS = timedelta(seconds=5)


class Readings:
    """What this process has just read of machines that it has not acted on since."""

    def __init__(self) -> None:
        self._kept: dict[int, Reading] = {}

    def of(self, rows: list[Replacement], clock: Clock) -> dict[int, Reading]:
        """Return a reading of each row's machine, by the key of the instance: the kept one where it is fresh, else a new one.

        Raises CloudError.
        """
        now = clock.now()
        found = {row.instance_id: kept for row in rows if (kept := self._still_fresh(row, now))}
        rows = [row for row in rows if row.instance_id not in found]
        # While the answer to a call is missing the disks are read by machine: an old disk that is still listed must not hide a
        # new one.
        unanswered = [row for row in rows if _unanswered(row)]
        others = [row for row in rows if not _unanswered(row)]
        if others:
            # Before the call the cloud itself refuses where a snapshot is being made: it is asked about where it did so.
            snapshots = any(row.state == State.PREPARING or row.error_code in SNAPSHOT_IN_PROGRESS for row in others)
            new_disks = {row.instance_id: row.new_disk_id for row in others if row.new_disk_id}
            found |= refresh([row.instance for row in others], clock, also=new_disks, snapshots=snapshots)
        if unanswered:
            found |= refresh([row.instance for row in unanswered], clock, each=True)
        return found

    def keep(
        self, rows: Iterable[Replacement], results: Mapping[int, Result], readings: Mapping[int, Reading], now: datetime
    ) -> None:
        """Keep the readings of machines that moved on and that nothing was asked of; forget all others."""
        self._kept = {key: kept for key, kept in self._kept.items() if now - kept.read_at < LASTS}
        for row in rows:
            result = results.get(row.pk)
            self._kept.pop(row.instance_id, None)
            # Whatever was asked of a machine has its event: a move without one was made on the reading alone.
            if isinstance(result, Move) and not result.events and row.instance_id in readings:
                self._kept[row.instance_id] = readings[row.instance_id]

    def _still_fresh(self, row: Replacement, now: datetime) -> Reading | None:
        kept = self._kept.get(row.instance_id)
        return kept if kept and now - kept.read_at < LASTS and not _unanswered(row) else None


def _unanswered(row: Replacement) -> bool:
    return bool(row.first_sent_at and not row.new_disk_id)
