"""Retries: a second call with a new token, for a held machine whose call was sent and whose answer was lost for good.

The approval is for one disk id, and so is a retry: it is possible only while the machine still shows the disk that was
approved. A machine with another disk needs a change of its own. One person asks, and another one who may approve agrees, once
no earlier call can take effect any more.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from fleet.audit.trail import record
from fleet.changes.acting import locked, wake
from fleet.changes.permissions import require
from fleet.engine.moves import move
from fleet.engine.results import Move, RowFields
from fleet.lib.refused import Refused
from fleet.lib.text import moment_utc
from fleet.models import Change, ChangeState, Replacement, ReplacementState, Retry, User

# The same call is repeated for 10 minutes, and the signature of the last one is good for 15 more.
LATE_CALLS_END = timedelta(minutes=26)
MOST = 500  # retries by one press: each is an act of its own, with its event


def ask_retries(*, actor: User, change_id: int, replacement_ids: Sequence[int], reason: str, now: datetime) -> int:
    """Ask to replace each of these machines once more; return for how many. What moved on is left alone."""
    return _each(
        replacement_ids,
        lambda pk: ask_retry(actor=actor, change_id=change_id, replacement_id=pk, reason=reason, now=now),
    )


def agree_retries(*, actor: User, change_id: int, retry_ids: Sequence[int], now: datetime) -> int:
    """Agree to each of these retries; return to how many. Those that are not open any more are left alone."""
    return _each(retry_ids, lambda pk: agree_retry(actor=actor, change_id=change_id, retry_id=pk, now=now))


@transaction.atomic
def ask_retry(*, actor: User, change_id: int, replacement_id: int, reason: str, now: datetime) -> Retry:
    """Ask to send the call for a held machine once more, with a new token. It is sent once another person has agreed."""
    change = locked(change_id)
    require("act_on_held", change, actor, now)
    row = _held(change, replacement_id)
    _must_be_open(row)
    if not reason.strip():
        raise Refused("Say why it should be tried once more, so that the other person can judge it.", field="reason")
    if row.retries.filter(epoch=row.epoch + 1).exists():
        raise Refused("A retry of this machine is asked for already. Another person agrees to it.", kind="moved")
    retry = Retry.objects.create(
        replacement=row,
        epoch=row.epoch + 1,
        disk_id=row.target.seen["disk_id"],
        reason=reason.strip()[:400],
        asked_by=actor,
        asked_at=now,
    )
    _record("instance.retry_asked", actor, change, row, retry)
    return retry


@transaction.atomic
def agree_retry(*, actor: User, change_id: int, retry_id: int, now: datetime) -> Replacement:
    """Agree to a retry that somebody else asked for: the machine begins anew, with a new epoch and a new token."""
    change = locked(change_id)
    retry = _open(change, retry_id)
    require("agree_retry", change, actor, now)
    if retry.asked_by_id == actor.pk:
        raise Refused("You asked for this retry; another person agrees to it.", kind="forbidden")
    if change.state not in (ChangeState.RUNNING, ChangeState.TRIPPED):
        raise Refused(f"It is {change.get_state_display().lower()}. Let the change go on first.", kind="moved")
    if change.aborted_at:
        raise Refused(
            "The change was ended: nothing is sent any more. Give the machine up, and draft a change for it.",
            kind="moved",
        )
    row = _held(change, retry.replacement_id)
    _must_be_open(row)
    if row.target.seen["disk_id"] != retry.disk_id or row.epoch + 1 != retry.epoch:
        raise Refused("The retry is about another try of this machine. Ask for a new one.", kind="moved")
    if now < safe_from(row):
        raise Refused(
            f"An earlier call could still land until {moment_utc(safe_from(row), now)}. Agree after that.", kind="moved"
        )
    retry.agreed_by, retry.agreed_at = actor, now
    retry.save(update_fields=["agreed_by", "agreed_at"])
    fields: RowFields = {
        "epoch": retry.epoch,
        "token": "",
        "first_sent_at": None,
        "request_id": "",
        "held_from": "",
        "error_code": "",
    }
    move([(row, Move(ReplacementState.PREPARING, "It is replaced once more, as two persons agreed.", fields))], now)
    wake()
    _record("instance.retry_agreed", actor, change, row, retry)
    row.refresh_from_db()
    return row


@transaction.atomic
def withdraw_retry(*, actor: User, change_id: int, retry_id: int, now: datetime) -> None:
    """Take back a retry that nobody has agreed to yet."""
    change = locked(change_id)
    require("act_on_held", change, actor, now)
    retry = _open(change, retry_id)
    row = retry.replacement
    retry.delete()
    record(
        action="instance.retry_withdrawn",
        actor=actor,
        subject=str(row.instance),
        change=change,
        instance=row.instance,
        data={"epoch": retry.epoch},
    )


def open_retries(change: Change) -> QuerySet[Retry]:
    """Return the retries of held machines that wait for another person to agree, the oldest first."""
    waiting = unanswered(change).filter(replacement__state=ReplacementState.HELD)
    return waiting.select_related("replacement__instance", "asked_by").order_by("asked_at", "pk")


def unanswered(change: Change) -> QuerySet[Retry]:
    """Return the retries that nobody agreed to, also those of machines that are no longer held."""
    return Retry.objects.filter(replacement__change=change, agreed_at=None)


def safe_from(row: Replacement) -> datetime:
    """Return the moment from which no call that was sent for this machine can take effect any more."""
    assert row.first_sent_at is not None
    return row.first_sent_at + LATE_CALLS_END


def retryable(row: Replacement) -> bool:
    """Say whether a retry can be asked for: it is held, its call was never answered, and it still shows the approved disk."""
    sent = row.first_sent_at is not None and not row.new_disk_id
    return row.state == ReplacementState.HELD and sent and row.instance.disk_id == row.target.seen["disk_id"]


def _must_be_open(row: Replacement) -> None:
    if row.first_sent_at is None:
        raise Refused("Nothing was sent for this machine: press Look again, it needs no retry.", kind="moved")
    if not retryable(row):
        raise Refused(
            "Its disk is not the one that was approved, so that no retry is possible. Give it up, and draft a change for it.",
            kind="moved",
        )


def _held(change: Change, replacement_id: int) -> Replacement:
    rows = change.replacements.select_for_update(of=("self",), no_key=True).filter(state=ReplacementState.HELD)
    row = rows.select_related("instance", "target", "change").filter(pk=replacement_id).first()
    if row is None:
        raise Refused("This machine is no longer held. Look at its present state.", kind="moved")
    return row


def _open(change: Change, retry_id: int) -> Retry:
    retry = unanswered(change).select_related("replacement__instance").filter(pk=retry_id).first()
    if retry is None:
        raise Refused("This retry is no longer open. Look at the machine's present state.", kind="moved")
    return retry


@transaction.atomic
def _each(pks: Sequence[int], act: Callable[[int], object]) -> int:
    """Carry out `act` for each and return for how many it was done.

    Raises the first refusal where none could be done, and at once one that is not about what moved meanwhile.
    """
    if len(pks) > MOST:
        raise Refused(f"{len(pks):,} machines at once are too many; {MOST:,} is the most. Take them one by one.")
    done, first = 0, None
    for pk in pks:
        try:
            act(pk)
        except Refused as refused:
            if refused.kind != "moved":
                raise
            first = first or refused
        else:
            done += 1
    if not done:
        raise first or Refused("These machines moved on meanwhile. Look at the present state.", kind="moved")
    return done


def _record(action: str, actor: User, change: Change, row: Replacement, retry: Retry) -> None:
    record(
        action=action,
        actor=actor,
        subject=str(row.instance),
        change=change,
        instance=row.instance,
        data={"epoch": retry.epoch, "disk": retry.disk_id, "reason": retry.reason, "lost_call": str(row.first_sent_at)},
    )
