"""What people do to a whole run: start, pause, resume, promote, cancel. The engine carries it out."""

from datetime import datetime

from django.db import transaction

from fleet.audit.trail import event, record_all, record_on
from fleet.changes.acting import locked, wake
from fleet.changes.judging.images import image_of
from fleet.changes.permissions import require
from fleet.changes.review.quorum import refusals_of_the_database, require_approvals
from fleet.engine.admission import admit, close_if_ended
from fleet.engine.handlers.returning import send_back_fields
from fleet.engine.moves import move
from fleet.engine.results import ended
from fleet.engine.route import BEFORE_THE_LINE, NOTHING_SENT
from fleet.engine.waves import counts_of, next_wave, open_wave, waves_of
from fleet.guards.policy import Policy
from fleet.guards.window import may_start
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState, Outcome, Replacement, ReplacementState, User
from fleet.vault.passwords import destroy_password


@refusals_of_the_database()
@transaction.atomic
def start(*, actor: User, change_id: int, now: datetime) -> Change:
    """Start an approved change: its plan must be the approved one, and its machines a subset of the approved ones.

    Its hours must be open and long enough, without a freeze and with the kill switch off.
    """
    change = locked(change_id)
    require("start", change, actor, now)
    targets = list(change.targets.select_related("instance", "instance__account").order_by("position"))
    require_approvals(change, targets, now)
    if why := may_start(change, now):
        raise Refused(why, kind="moved")
    waves = waves_of(Policy.of(change.policy), targets)
    Replacement.objects.bulk_create(
        Replacement(
            target=target,
            change=change,
            account=target.instance.account,
            instance=target.instance,
            region=target.instance.region,
            image_id=image_of(change, target),
            wave=wave,
            state=ReplacementState.QUEUED,
            entered_at=now,
        )
        for target, wave in zip(targets, waves, strict=True)
    )
    change.state, change.started_at, change.started_by = ChangeState.RUNNING, now, actor
    change.wave_opened_at = now
    change.save(update_fields=["state", "started_at", "started_by", "wave_opened_at"])
    admit(change, now)
    wake()
    record_on(change, "change.started", actor, machines=len(targets), spec_digest=change.spec_digest)
    return change


@transaction.atomic
def pause(*, actor: User, change_id: int, now: datetime) -> Change:
    """Let nothing new begin. Machines for which nothing was sent go back to what they were; the others are driven on."""
    change = locked(change_id)
    require("pause", change, actor, now)
    change.state, change.waits_for = ChangeState.PAUSED, ""
    change.save(update_fields=["state", "waits_for"])
    called_back = call_back(change, now)
    wake()
    record_on(change, "change.paused", actor, called_back=called_back)
    return change


@transaction.atomic
def resume(*, actor: User, change_id: int, now: datetime) -> Change:
    """Let a paused change go on."""
    change = locked(change_id)
    require("resume", change, actor, now)
    change.state = ChangeState.RUNNING
    change.save(update_fields=["state"])
    admit(change, now)
    wake()
    record_on(change, "change.resumed", actor)
    return change


@transaction.atomic
def promote(*, actor: User, change_id: int, now: datetime) -> Change:
    """Open the next wave after the canary now, whether it waits for a person or for its time."""
    change = locked(change_id)
    require("pause", change, actor, now)
    following = next_wave(change, counts_of(change))
    if following is None or not (change.holds_for_person or change.hold_until):
        raise Refused("The canary holds nothing back just now. Look at its present state.", kind="moved")
    waited_for = "a person" if change.holds_for_person else "its time"
    open_wave(change, following.number, now)
    change.save(update_fields=["wave", "wave_opened_at", "hold_until", "holds_for_person"])
    began = admit(change, now)
    wake()
    record_on(
        change,
        "change.promoted",
        actor,
        wave=following.number,
        machines=following.total,
        began=began,
        waited_for=waited_for,
    )
    return change


@transaction.atomic
def cancel(*, actor: User, change_id: int, now: datetime) -> Change:
    """End the change. Machines for which nothing was sent keep their old system and power state; the others are driven on."""
    change = locked(change_id)
    require("cancel", change, actor, now)
    queued = list(
        change.replacements.select_for_update(of=("self",))
        .filter(state=ReplacementState.QUEUED)
        .select_related("instance")
    )
    note = "Cancelled before it began; the old system is intact."
    move([(row, ended(Outcome.CANCELLED, note)) for row in queued], now)
    called_back = 0
    if change.state == ChangeState.APPROVED:
        change.targets.update(open=False)
        change.state, change.finished_at = ChangeState.CANCELLED, now
        change.save(update_fields=["state", "finished_at"])
        destroy_password(change.secret, change=change, now=now, actor=actor)
    else:
        change.aborted_at = change.aborted_at or now
        change.save(update_fields=["aborted_at"])
        called_back = call_back(change, now, Outcome.CANCELLED)
        if not queued and not called_back:
            raise Refused(
                "Nothing is left to end: every machine has ended, or is past the line of no return.", kind="moved"
            )
        close_if_ended(change, now)
        wake()
    events = [
        event(action="instance.cancelled", actor=actor, subject=str(row.instance), change=change, instance=row.instance)
        for row in queued
    ]
    summary = event(
        action="change.cancelled",
        actor=actor,
        subject=str(change),
        change=change,
        data={"not_started": len(queued), "called_back": called_back},
    )
    record_all([*events, summary])
    return change


def call_back(change: Change, now: datetime, outcome: str = "") -> int:
    """Send machines for which nothing was sent back to their former power state; return how many.

    `outcome` is what they end with there; without one they go back to the queue. A row that a worker has claimed just now is
    looked at once its claim is over: the mark alone keeps the irreversible call from being sent.
    """
    before_the_line = change.replacements.filter(NOTHING_SENT, state__in=BEFORE_THE_LINE)
    rows = before_the_line.exclude(returning=True, outcome=outcome)
    why = "the change was ended" if outcome else "the change was paused"
    note = f"Called back before anything was sent, since {why}; the old system is intact."
    sent_back = rows.update(outcome=outcome, note=note, **send_back_fields(now))
    before_the_line.filter(returning=True, leased_until=None).update(due_at=now)
    return sent_back
