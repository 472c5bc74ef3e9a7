"""What may never be, in any world."""

from datetime import UTC, datetime
from functools import cache

from fleet.changes.running.held_machines import evidence
from fleet.models import Outcome, Replacement
from tests.engine.protocol.model import (
    ALIKE,
    DONE,
    FALSE_SUCCESS,
    FALSE_UNTOUCHED,
    HELD,
    HELD_AFTER,
    NEVER,
    OURS,
    UNTOUCHED,
    World,
)


@cache
def untouched_by_evidence(sent: bool, new_disk: str) -> bool:
    """Ask the engine's own reading of the evidence what giving up would report."""
    row = Replacement(new_disk_id=new_disk, first_sent_at=datetime(2026, 1, 1, tzinfo=UTC) if sent else None)
    return evidence(row) is Outcome.FAILED_UNTOUCHED


def violation(world: World) -> str:
    """Return what is wrong with this world, or nothing. A disk that another actor made just like ours may be adopted."""
    row = world.row
    if world.wrong:
        return world.wrong
    if row.state == DONE and row.new_disk != OURS and not (row.adopted and row.new_disk == ALIKE):
        return FALSE_SUCCESS
    if row.state == DONE and row.new_disk == OURS and (not world.accepted or world.executing):
        return FALSE_SUCCESS
    reported = row.state == UNTOUCHED or (
        row.state in (HELD, HELD_AFTER) and untouched_by_evidence(row.sent != NEVER, row.new_disk)
    )
    return FALSE_UNTOUCHED if reported and world.accepted else ""
