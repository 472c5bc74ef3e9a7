"""What a handler says of one machine: move on, or look again later."""

from dataclasses import dataclass, field
from typing import Any

from fleet.models import AuditEvent, Outcome, Replacement, ReplacementState

State = ReplacementState

TERMINAL = {
    Outcome.SUCCEEDED: State.DONE,
    Outcome.ADOPTED: State.DONE,
    Outcome.SKIPPED_DRIFT: State.CANCELLED,
    Outcome.CANCELLED: State.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Move:
    """Go to another state, with the fields that change and the events that tell of it."""

    to: State
    note: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    events: list[AuditEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay, and look again in `seconds`."""

    seconds: float
    note: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    events: list[AuditEvent] = field(default_factory=list)


Result = Move | Wait


def ended(outcome: Outcome, note: str, *, code: str = "", events: list[AuditEvent] | None = None) -> Move:
    """Return the move to the end that this outcome has."""
    to = TERMINAL.get(outcome, State.FAILED)
    return Move(to, note, {"outcome": outcome, "error_code": code}, events or [])


def hold_for_person(row: Replacement, note: str, *, code: str = "", events: list[AuditEvent] | None = None) -> Move:
    """Return the move to a person's desk, with the evidence in words; the state that it came from is kept."""
    return Move(State.HELD, note, {"held_from": row.state, "error_code": code}, events or [])


def end_and_start_again(row: Replacement, outcome: Outcome, note: str, *, code: str = "") -> Move:
    """End with `outcome`, after the machine that we stopped runs again; one that was stopped before ends at once."""
    if row.was_running:
        return Move(State.STARTING, note, {"outcome": outcome, "error_code": code, "asked_at": None})
    return ended(outcome, note, code=code)


# What a state begins with: whatever was noted for an earlier stay in it says nothing of this one.
FRESH: dict[State, dict[str, Any]] = {
    State.QUEUED: {
        "returning": False,
        "was_running": None,
        "asked_at": None,
        "forced": False,
        "snapshot_id": "",
        "step_id": "",
        "step_asked_at": None,
        "error_code": "",
        "outcome": "",
    },
    State.BEFORE: {"step_id": "", "step_asked_at": None},
    State.STOPPING: {"asked_at": None, "forced": False},
    State.SNAPSHOTTING: {"snapshot_id": ""},
    State.STARTING: {"asked_at": None, "returning": False},
    State.FAILED: {"returning": False},
    State.CANCELLED: {"returning": False},
    State.AFTER: {"step_id": "", "step_asked_at": None},
}
