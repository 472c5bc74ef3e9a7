"""What a handler says of one machine: it moves on to another state, or it is looked at again later."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from fleet.models import AuditEvent, Outcome, Replacement, ReplacementState

State = ReplacementState

TERMINAL = {
    Outcome.SUCCEEDED: State.DONE,
    Outcome.ADOPTED: State.DONE,
    Outcome.SKIPPED_DRIFT: State.CANCELLED,
    Outcome.CANCELLED: State.CANCELLED,
}


class RowFields(TypedDict, total=False):
    """Columns of a replacement that are written together with a move or a wait. What is left out stays as it is.

    State, lease and claims are not among them: these are written by `moves` alone.
    """

    outcome: str
    error_code: str
    note: str
    held_from: str
    image_id: str
    entered_at: datetime
    deadline_at: datetime | None
    due_at: datetime | None
    finished_at: datetime | None
    epoch: int
    token: str
    first_sent_at: datetime | None
    request_id: str
    new_disk_id: str
    was_running: bool | None
    returning: bool
    asked_at: datetime | None
    forced: bool
    snapshot_id: str
    step_id: str
    step_asked_at: datetime | None
    carried: dict[str, Any]
    restored: list[str]


@dataclass(frozen=True, slots=True)
class Move:
    """Go to another state, with the fields that change and the events that tell of it. An empty note leaves the row's own."""

    to: State
    note: str = ""
    fields: RowFields = field(default_factory=RowFields)
    events: list[AuditEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay, and look again in `seconds`."""

    seconds: float
    note: str = ""
    fields: RowFields = field(default_factory=RowFields)
    events: list[AuditEvent] = field(default_factory=list)


Result = Move | Wait


def ended(outcome: Outcome, note: str, *, code: str = "", events: list[AuditEvent] | None = None) -> Move:
    """Return the move to the end that this outcome has."""
    to = TERMINAL.get(outcome, State.FAILED)
    return Move(to, note, {"outcome": outcome, "error_code": code}, events or [])


def hold_for_person(row: Replacement, note: str, *, code: str = "", events: list[AuditEvent] | None = None) -> Move:
    """Return the move to HELD: a person decides, with the evidence in words. The state that it came from is kept."""
    return Move(State.HELD, note, {"held_from": row.state, "error_code": code}, events or [])


def end_and_start_again(row: Replacement, outcome: Outcome, note: str, *, code: str = "") -> Move:
    """End with `outcome`; a machine that we stopped is started first, and one that was stopped before ends at once."""
    if row.was_running:
        return Move(State.STARTING, note, {"outcome": outcome, "error_code": code, "asked_at": None})
    return ended(outcome, note, code=code)
