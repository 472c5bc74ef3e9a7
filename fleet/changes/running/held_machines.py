"""What people do to single machines of a run: those that are held, and those that have not begun.

Each act takes many replacements, since a whole cluster is dealt with at once; those that moved meanwhile are left alone.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import transaction

from fleet.audit.trail import event, record_all
from fleet.changes.acting import locked, wake
from fleet.changes.permissions import require
from fleet.engine.admission import admit, close_if_ended
from fleet.engine.codes import INCONCLUSIVE, RESTORED
from fleet.engine.handlers.returning import send_back_fields
from fleet.engine.moves import move
from fleet.engine.results import Move, RowFields
from fleet.engine.route import before_the_line, onward
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState, Outcome, Replacement, ReplacementState, User

State = ReplacementState


def look_again(*, actor: User, change_id: int, replacement_ids: Sequence[int], now: datetime) -> int:
    """Give held machines back to the engine, in the state that each was held from, with the same token."""

    def act(row: Replacement) -> Move:
        # One whose snapshot is being taken goes on with it; in a paused change an untouched machine goes back first.
        fields: RowFields = {"snapshot_id": row.snapshot_id, "held_from": "", **_back_first(row, now)}
        if row.error_code != RESTORED:
            fields["error_code"] = ""
        return Move(State(row.held_from), "A person asked to look again.", fields)

    return _act_on_held(actor, change_id, replacement_ids, now, _is_held, act, "instance.look_again")


def give_up(*, actor: User, change_id: int, replacement_ids: Sequence[int], now: datetime) -> int:
    """End held machines as failed, with the outcome that the evidence on record allows.

    One whose disk was not touched gets its former power state back first.
    """

    def act(row: Replacement) -> Move:
        if before_the_line(row):
            return _bring_back(row, evidence(row), row.note, now)
        return _end(_as_seen(row), row.note)

    return _act_on_held(actor, change_id, replacement_ids, now, _is_held, act, "instance.given_up")


def skip(*, actor: User, change_id: int, replacement_ids: Sequence[int], now: datetime) -> int:
    """Leave machines out that have not begun, or are held with nothing sent; that is no failure."""

    def fits(row: Replacement) -> bool:
        return row.state == State.QUEUED or (_is_held(row) and before_the_line(row))

    def act(row: Replacement) -> Move:
        if row.state == State.QUEUED:
            return _end(Outcome.CANCELLED, "Skipped by a person; the old system is intact.")
        return _bring_back(row, Outcome.CANCELLED, row.note, now)

    return _act_on_held(actor, change_id, replacement_ids, now, fits, act, "instance.left_out")


def judge_inconclusive(
    *, actor: User, change_id: int, replacement_ids: Sequence[int], serves: bool, now: datetime
) -> int:
    """Give the verdict for machines whose step before or after gave none: those that serve go on, the others count as failed."""

    def fits(row: Replacement) -> bool:
        return _is_held(row) and row.error_code == INCONCLUSIVE

    def act(row: Replacement) -> Move:
        after = row.held_from == State.AFTER
        if not serves and after:
            return _end(Outcome.FAILED_REPLACED, "A person says that it does not serve.")
        if not serves:
            why = "A person says that its step before failed."
            return _bring_back(row, Outcome.FAILED_UNTOUCHED, why, now)
        cleared: RowFields = {"error_code": "", "held_from": ""}
        if after:
            outcome = Outcome.ADOPTED if row.outcome == Outcome.ADOPTED else Outcome.SUCCEEDED
            return Move(State.DONE, "A person says that it serves.", {**cleared, "outcome": outcome})
        fields: RowFields = {**cleared, **_back_first(row, now)}
        return Move(onward(row, State.BEFORE), "A person says that its step was good.", fields)

    return _act_on_held(actor, change_id, replacement_ids, now, fits, act, "instance.judged", serves=serves)


def _back_first(row: Replacement, now: datetime) -> RowFields:
    """In a paused change, or one that a person ended, an untouched machine goes back to what it was instead of on."""
    stays = row.change.state == ChangeState.PAUSED or row.change.aborted_at
    return send_back_fields(now) if stays and before_the_line(row) else {}


def evidence(row: Replacement) -> Outcome:
    """Return what a held machine's record says of it, as an outcome."""
    if row.new_disk_id:
        return Outcome.FAILED_REPLACED
    return Outcome.UNKNOWN if row.first_sent_at or row.error_code == RESTORED else Outcome.FAILED_UNTOUCHED


def _as_seen(row: Replacement) -> Outcome:
    """The same, unless its last reading shows no system disk at all."""
    outcome, machine = evidence(row), row.instance
    past_the_line = outcome is not Outcome.FAILED_UNTOUCHED
    return Outcome.FAILED_DISKLESS if past_the_line and not machine.disk_id and not machine.gone_at else outcome


def _is_held(row: Replacement) -> bool:
    return row.state == State.HELD


def _end(outcome: Outcome, note: str) -> Move:
    return Move(State.CANCELLED if outcome == Outcome.CANCELLED else State.FAILED, note, {"outcome": outcome})


def _bring_back(row: Replacement, outcome: Outcome, note: str, now: datetime) -> Move:
    """Return the move that brings an untouched machine back and ends it then; at once where it was never stopped."""
    if not row.was_running:
        return _end(outcome, note)
    return Move(State.STOPPING, note, {"outcome": outcome, "asked_at": row.asked_at, **send_back_fields(now)})


@transaction.atomic
def _act_on_held(
    actor: User,
    change_id: int,
    replacement_ids: Sequence[int],
    now: datetime,
    fits: Callable[[Replacement], bool],
    act: Callable[[Replacement], Move],
    action: str,
    **data: object,
) -> int:
    """Move each of these machines that fits, and return how many. A worker that has claimed one finds itself overtaken."""
    change = locked(change_id)
    require("act_on_held", change, actor, now)
    found = change.replacements.select_for_update(of=("self",), no_key=True).filter(pk__in=replacement_ids)
    rows = [row for row in found.select_related("instance", "target", "change").order_by("pk") if fits(row)]
    if not rows:
        one = len(replacement_ids) == 1
        if action == "instance.left_out":
            which = "This machine moved on" if one else "These machines moved on"
            raise Refused(f"{which}: only what has not begun, or is held untouched, is skipped.", kind="moved")
        which = "This machine is no longer held" if one else "None of these machines is held any more"
        raise Refused(f"{which}. Look at the present state.", kind="moved")
    moves = [(row, act(row)) for row in rows]
    move(moves, now)
    events = [
        event(
            action=action,
            actor=actor,
            subject=str(row.instance),
            change=change,
            instance=row.instance,
            data={
                "from": row.held_from or row.state,
                "to": decided.to,
                "outcome": decided.fields.get("outcome", ""),
                **data,
            },
        )
        for row, decided in moves
    ]
    _look_after(change, now)
    wake()
    record_all(events)
    return len(rows)


def _look_after(change: Change, now: datetime) -> None:
    if not close_if_ended(change, now):
        admit(change, now)
