"""Starting an approved change by itself, at a time that a person chose. A start that was missed is not made up for."""

from datetime import datetime, timedelta

from django.db import transaction

from fleet.audit.trail import record_on
from fleet.changes.acting import locked
from fleet.changes.permissions import require
from fleet.changes.review.deciding import expire
from fleet.changes.running import controls
from fleet.guards.window import late, window_of
from fleet.lib.refused import Refused
from fleet.lib.text import age, moment_utc
from fleet.models import Change, ChangeState, User

# How long after its time a planned start still happens, where no window says so.
PATIENCE = timedelta(hours=1)


@transaction.atomic
def schedule(*, actor: User, change_id: int, at: datetime | None, now: datetime) -> Change:
    """Let an approved change start by itself at `at`, or with None at the next opening of its hours.

    Only a change that is approved already: an approval that comes late starts nothing.
    """
    change = locked(change_id)
    require("schedule", change, actor, now)
    at = at or _next_opening(change, now)
    if at <= now:
        raise Refused(f"{moment_utc(at, now)} has passed. Choose a time to come.", field="start_at")
    if change.approved_until is None or at >= change.approved_until:
        until = moment_utc(change.approved_until, now) if change.approved_until else "now"
        raise Refused(f"The approval holds until {until}. Choose an earlier time.", field="start_at")
    window = window_of(change, at)
    if window.hours.closed:
        raise Refused(f"{window.hours.closed[0].words} Choose a time at which it is open.", field="start_at")
    if late(window, at):
        raise Refused(
            f"The change takes about {age(window.seconds)}, and its hours would end before that. Choose an earlier time.",
            field="start_at",
        )
    change.start_at, change.scheduled_by, change.waits_for = at, actor, ""
    change.save(update_fields=["start_at", "scheduled_by", "waits_for"])
    record_on(change, "change.scheduled", actor, start_at=at.isoformat())
    return change


@transaction.atomic
def unschedule(*, actor: User, change_id: int, now: datetime) -> Change:
    """Take back a planned start; the approvals stay valid."""
    change = locked(change_id)
    require("schedule", change, actor, now)
    if change.start_at is None:
        raise Refused("No start is planned. Look at the change once more.", kind="moved")
    change.start_at, change.scheduled_by, change.waits_for = None, None, ""
    change.save(update_fields=["start_at", "scheduled_by", "waits_for"])
    record_on(change, "change.unscheduled", actor)
    return change


def start_due(now: datetime) -> int:
    """Start what is planned for now, as the person who planned it; return how many. What was missed expires.

    The worker calls it. Where something prevents a start (kill switch, freeze, a role that was taken away), it is tried again
    until the last start of that window, and the reason is recorded once.
    """
    due = Change.objects.filter(state=ChangeState.APPROVED, start_at__lte=now).order_by("start_at", "pk")
    return sum(_start(change, now) for change in due.select_related("scheduled_by"))


def _start(change: Change, now: datetime) -> bool:
    if _missed(change.pk, now) or change.scheduled_by is None:
        return False
    if not change.scheduled_by.is_active:
        who = change.scheduled_by
        _record_wait(change.pk, f"{who} planned the start and was deactivated. Start it yourself, or plan it anew.")
        return False
    try:
        controls.start(actor=change.scheduled_by, change_id=change.pk, now=now)
    except Refused as refused:
        _record_wait(change.pk, refused.sentence)
        return False
    return True


@transaction.atomic
def _missed(change_id: int, now: datetime) -> bool:
    """End a change whose planned start was missed: later than its last start, it would run when nobody expects it."""
    change = locked(change_id)
    if change.state != ChangeState.APPROVED or change.start_at is None or change.start_at > now:
        return True
    window = window_of(change, change.start_at)
    latest = window.hours.closes_at if window.spans else window.last_start
    if now <= (latest or change.start_at + PATIENCE):
        return False
    expire(
        change, f"Its start was planned for {moment_utc(change.start_at, now)} and was missed. {change.waits_for}", now
    )
    return True


@transaction.atomic
def _record_wait(change_id: int, why: str) -> None:
    change = locked(change_id)
    if change.state != ChangeState.APPROVED or change.waits_for == why[:300]:
        return
    change.waits_for = why[:300]
    change.save(update_fields=["waits_for"])
    record_on(change, "change.start_waits", why=why)


def _next_opening(change: Change, now: datetime) -> datetime:
    hours = window_of(change, now).hours
    if hours.opens_at is None:
        raise Refused("Its hours do not open again. Take it back to draft and choose others.", kind="moved")
    if hours.opens_at <= now:
        raise Refused("It is open now. Start it, or choose a later time.", field="start_at")
    return hours.opens_at
