"""Fresh readings for a batch, with as few calls as its state allows; one that is a moment old serves the next state too."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from fleet.engine.results import Move, Result, State
from fleet.inventory.reading import Reading, refresh
from fleet.lib.clock import Clock
from fleet.models import Replacement

# A machine that moved on without being acted on need not be read again at once. Half of what the irreversible call allows.
LASTS = timedelta(seconds=5)
SNAPSHOT_CODES = frozenset({"DiskCreatingSnapshot", "IncorrectDiskStatus.CreatingSnapshot"})


class Readings:
    """What this process has just read of machines that it has not acted on since."""

    def __init__(self) -> None:
        self._kept: dict[int, Reading] = {}

    def of(self, rows: list[Replacement], clock: Clock) -> dict[int, Reading]:
        """Return a reading for each row's machine, by its key: the one kept where it may serve, else a new one.

        Raises CloudError.
        """
        now = clock.now()
        found = {row.instance_id: kept for row in rows if (kept := self._serves(row, now))}
        rows = [row for row in rows if row.instance_id not in found]
        # After a lost answer the disk is read by its machine: an old disk that is still listed must not hide a new one.
        unclear = [row for row in rows if _unclear(row)]
        clear = [row for row in rows if not _unclear(row)]
        if clear:
            # Before the call the cloud itself says whether a snapshot is being made; asked for where it said so before.
            snapshots = any(row.state == State.PREPARING or row.error_code in SNAPSHOT_CODES for row in clear)
            answered = {row.instance_id: row.new_disk_id for row in clear if row.new_disk_id}
            found |= refresh([row.instance for row in clear], clock, also=answered, snapshots=snapshots)
        if unclear:
            found |= refresh([row.instance for row in unclear], clock, each=True)
        return found

    def keep(
        self, rows: Iterable[Replacement], results: Mapping[int, Result], readings: Mapping[int, Reading], now: datetime
    ) -> None:
        """Keep the readings of machines that moved on and that nothing was asked of; forget all others."""
        self._kept = {key: kept for key, kept in self._kept.items() if now - kept.read_at < LASTS}
        for row in rows:
            result = results.get(row.pk)
            self._kept.pop(row.instance_id, None)
            # An act has its event: a move without one was made on the reading alone.
            if isinstance(result, Move) and not result.events and row.instance_id in readings:
                self._kept[row.instance_id] = readings[row.instance_id]

    def _serves(self, row: Replacement, now: datetime) -> Reading | None:
        kept = self._kept.get(row.instance_id)
        return kept if kept and now - kept.read_at < LASTS and not _unclear(row) else None


def _unclear(row: Replacement) -> bool:
    return bool(row.first_sent_at and not row.new_disk_id)
