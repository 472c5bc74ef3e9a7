"""People's acts on machines of a running change: those that are held, and those that have not begun.

Each takes a list of replacements, so that one act serves a whole cluster; what moved meanwhile is left alone.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from fleet.audit.trail import event, record_all
from fleet.changes.acting import locked, wake
from fleet.changes.permissions import require
from fleet.engine.admission import admit, close_if_ended
from fleet.engine.graph import FINAL, entering
from fleet.engine.handlers.returning import send_back_fields
from fleet.engine.route import RESTORED, before_the_line, onward
from fleet.engine.steps.handling import INCONCLUSIVE
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState, Outcome, Replacement, ReplacementState, Target, Transition, User

State = ReplacementState


def look_again(*, actor: User, change_id: int, replacement_ids: Sequence[int], now: datetime) -> int:
    """Give held machines back to the engine, in the state that each was held from. No new token, no new epoch."""

    def act(row: Replacement) -> dict[str, Any]:
        fields = entering(row, State(row.held_from), now) | {"note": "A person asked to look again."}
        # One whose snapshot is being taken goes on with it, and in a paused change an untouched machine goes home.
        fields |= {"snapshot_id": row.snapshot_id, "held_from": ""}
        fields |= {} if row.error_code == RESTORED else {"error_code": ""}
        return fields | _home_first(row, now)

    return _act_on_held(actor, change_id, replacement_ids, now, _is_held, act, "instance.look_again")


def give_up(*, actor: User, change_id: int, replacement_ids: Sequence[int], now: datetime) -> int:
    """End held machines as failed, with the outcome that the evidence on record allows.

    One whose disk was not touched gets its former power state back first.
    """

    def act(row: Replacement) -> dict[str, Any]:
        return _home(row, evidence(row), now) if before_the_line(row) else _end(row, _as_seen(row), now)

    return _act_on_held(actor, change_id, replacement_ids, now, _is_held, act, "instance.given_up")


def skip(*, actor: User, change_id: int, replacement_ids: Sequence[int], now: datetime) -> int:
    """Leave machines out that have not begun, or are held with nothing sent; that is no failure."""

    def fits(row: Replacement) -> bool:
        return row.state == State.QUEUED or (_is_held(row) and before_the_line(row))

    def act(row: Replacement) -> dict[str, Any]:
        if row.state == State.QUEUED:
            return _end(row, Outcome.CANCELLED, now) | {"note": "Skipped by a person; the old system is intact."}
        return _home(row, Outcome.CANCELLED, now)

    return _act_on_held(actor, change_id, replacement_ids, now, fits, act, "instance.left_out")


def judge_inconclusive(
    *, actor: User, change_id: int, replacement_ids: Sequence[int], serves: bool, now: datetime
) -> int:
    """Say of machines whose step gave no verdict what it was. Good goes on, bad counts as failed."""

    def fits(row: Replacement) -> bool:
        return _is_held(row) and row.error_code == INCONCLUSIVE

    def act(row: Replacement) -> dict[str, Any]:
        after = row.held_from == State.AFTER
        cleared = {"error_code": "", "held_from": ""}
        if not serves:
            note = "A person says that it does not serve." if after else "A person says that its step before failed."
            failed = _end(row, Outcome.FAILED_REPLACED, now) if after else _home(row, Outcome.FAILED_UNTOUCHED, now)
            return failed | {"note": note}
        if after:
            outcome = Outcome.ADOPTED if row.outcome == Outcome.ADOPTED else Outcome.SUCCEEDED
            return (
                entering(row, State.DONE, now) | cleared | {"outcome": outcome, "note": "A person says that it serves."}
            )
        fields = entering(row, onward(row, State.BEFORE), now) | cleared
        return fields | {"note": "A person says that its step was good."} | _home_first(row, now)

    return _act_on_held(actor, change_id, replacement_ids, now, fits, act, "instance.judged", serves=serves)


def _home_first(row: Replacement, now: datetime) -> dict[str, Any]:
    """In a paused change, or one that a person ended, an untouched machine goes home instead of on."""
    stays = row.change.state == ChangeState.PAUSED or row.change.aborted_at
    return send_back_fields(now) if stays and before_the_line(row) else {}


def evidence(row: Replacement) -> Outcome:
    """Return what a held machine's record says of it, as an outcome."""
    if row.new_disk_id:
        return Outcome.FAILED_REPLACED
    return Outcome.UNKNOWN if row.first_sent_at or row.error_code == RESTORED else Outcome.FAILED_UNTOUCHED


def _as_seen(row: Replacement) -> Outcome:
    """Return the same, where its last reading does not say more: a machine without a system disk is told as such."""
    outcome, machine = evidence(row), row.instance
    past_the_line = outcome is not Outcome.FAILED_UNTOUCHED
    return Outcome.FAILED_DISKLESS if past_the_line and not machine.disk_id and not machine.gone_at else outcome


def _is_held(row: Replacement) -> bool:
    return row.state == State.HELD


def _end(row: Replacement, outcome: Outcome, now: datetime) -> dict[str, Any]:
    to = State.CANCELLED if outcome == Outcome.CANCELLED else State.FAILED
    return entering(row, to, now) | {"outcome": outcome}


def _home(row: Replacement, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """Return the fields that bring an untouched machine back and end it then; at once where it was never stopped."""
    if not row.was_running:
        return _end(row, outcome, now)
    return entering(row, State.STOPPING, now) | {"outcome": outcome, "asked_at": row.asked_at} | send_back_fields(now)


@transaction.atomic
def _act_on_held(
    actor: User,
    change_id: int,
    replacement_ids: Sequence[int],
    now: datetime,
    fits: Callable[[Replacement], bool],
    act: Callable[[Replacement], dict[str, Any]],
    action: str,
    **data: object,
) -> int:
    """Move each of these machines that fits; return how many. The worker that has one of them finds itself overtaken."""
    change = locked(change_id)
    require("settle_held", change, actor, now)
    found = change.replacements.select_for_update(of=("self",), no_key=True).filter(pk__in=replacement_ids)
    rows = [row for row in found.select_related("instance", "target", "change").order_by("pk") if fits(row)]
    if not rows:
        one = len(replacement_ids) == 1
        if action == "instance.left_out":
            said = "This machine moved on" if one else "These machines moved on"
            raise Refused(f"{said}: only what has not begun, or is held untouched, is skipped.", kind="moved")
        said = "This machine is no longer held" if one else "None of these machines is held any more"
        raise Refused(f"{said}. Look at the present state.", kind="moved")
    moves: list[Transition] = []
    events = []
    for row in rows:
        fields = act(row)
        moves.append(_transition(row, fields, now))
        events.append(
            event(
                action=action,
                actor=actor,
                subject=str(row.instance),
                change=change,
                instance=row.instance,
                data={
                    "from": row.held_from or row.state,
                    "to": fields["state"],
                    "outcome": fields.get("outcome", ""),
                    **data,
                },
            )
        )
        Replacement.objects.filter(pk=row.pk).update(**fields, claims=0, leased_until=None, lease=row.lease + 1)
    Transition.objects.bulk_create(moves)
    ended = [row.target_id for row, move in zip(rows, moves, strict=True) if move.to_state in FINAL]
    Target.objects.filter(pk__in=ended).update(open=False)
    _attend(change, now)
    wake()
    record_all(events)
    return len(rows)


def _transition(row: Replacement, fields: dict[str, Any], now: datetime) -> Transition:
    note = str(fields.get("note", row.note))[:500]
    return Transition(
        replacement=row, at=now, from_state=row.state, to_state=fields["state"], note=note, lease=row.lease + 1
    )


def _attend(change: Change, now: datetime) -> None:
    if not close_if_ended(change, now):
        admit(change, now)
