"""People's acts on a running change. What they set in motion is carried out by the engine."""

from datetime import datetime

from django.db import transaction
from django_q.tasks import async_task

from fleet.audit.trail import event, record, record_all
from fleet.changes.digests import leaf_digest, spec_digest
from fleet.changes.drafting import locked
from fleet.changes.permissions import require
from fleet.changes.refused import Refused
from fleet.changes.review import APPROVALS_NEEDED, valid_approvals
from fleet.engine.admission import admit, close_if_ended
from fleet.engine.passwords import destroy_password
from fleet.models import Account, Change, ChangeState, Outcome, Replacement, ReplacementState, Target, User


@transaction.atomic
def start(*, actor: User, change_id: int, now: datetime) -> Change:
    """Start an approved change: the form must be the approved one, its machines a subset of the approved ones."""
    change = locked(change_id)
    require("start", change, actor, now)
    targets = list(change.targets.select_related("instance", "instance__account").order_by("position"))
    _must_be_as_approved(change, targets, now)
    observing = Account.objects.filter(instances__targets__change=change, executes=False).first()
    if observing:
        raise Refused(
            f"The account {observing} is in observe: nothing is changed in it. An administrator switches execution on.",
            kind="moved",
        )
    Replacement.objects.bulk_create(
        Replacement(
            target=target,
            change=change,
            account=target.instance.account,
            instance=target.instance,
            region=target.instance.region,
            state=ReplacementState.QUEUED,
            entered_at=now,
        )
        for target in targets
    )
    change.state, change.started_at, change.started_by = ChangeState.RUNNING, now, actor
    change.save(update_fields=["state", "started_at", "started_by"])
    admit(change, now)
    wake()
    record(
        action="change.started",
        actor=actor,
        subject=str(change),
        change=change,
        data={"machines": len(targets), "spec_digest": change.spec_digest},
    )
    return change


def _must_be_as_approved(change: Change, targets: list[Target], now: datetime) -> None:
    approvals = valid_approvals(change, now)
    if len(approvals) < APPROVALS_NEEDED or spec_digest(change) != change.spec_digest:
        raise Refused(
            "The change is not approved in this form. Take it back to draft and submit it again.", kind="moved"
        )
    approved = set.intersection(*(set(approval.leaves) for approval in approvals))
    if any(leaf_digest(target) not in approved for target in targets):
        raise Refused(
            "Its machines are not the approved ones. Take it back to draft and submit it again.", kind="moved"
        )


@transaction.atomic
def pause(*, actor: User, change_id: int, now: datetime) -> Change:
    """Start nothing new. What is in flight is driven to its end."""
    change = locked(change_id)
    require("pause", change, actor, now)
    change.state = ChangeState.PAUSED
    change.save(update_fields=["state"])
    record(action="change.paused", actor=actor, subject=str(change), change=change)
    return change


@transaction.atomic
def resume(*, actor: User, change_id: int, now: datetime) -> Change:
    change = locked(change_id)
    require("resume", change, actor, now)
    change.state = ChangeState.RUNNING
    change.save(update_fields=["state"])
    admit(change, now)
    wake()
    record(action="change.resumed", actor=actor, subject=str(change), change=change)
    return change


@transaction.atomic
def cancel(*, actor: User, change_id: int, now: datetime) -> Change:
    """End the change: what has not started keeps its old system; what is in flight is driven to its end."""
    change = locked(change_id)
    require("cancel", change, actor, now)
    queued = list(
        change.replacements.select_for_update(of=("self",))
        .filter(state=ReplacementState.QUEUED)
        .select_related("instance")
    )
    Replacement.objects.filter(pk__in=[row.pk for row in queued]).update(
        state=ReplacementState.CANCELLED,
        outcome=Outcome.CANCELLED,
        entered_at=now,
        finished_at=now,
        due_at=None,
        note="Cancelled before it began; the old system is intact.",
    )
    Target.objects.filter(replacement__in=queued).update(open=False)
    if change.state == ChangeState.APPROVED:
        change.targets.update(open=False)
        change.state, change.finished_at = ChangeState.CANCELLED, now
        change.save(update_fields=["state", "finished_at"])
        destroy_password(change.secret, change=change, now=now, actor=actor)
    else:
        close_if_ended(change, now)
    events = [
        event(action="instance.cancelled", actor=actor, subject=str(row.instance), change=change, instance=row.instance)
        for row in queued
    ]
    summary = event(
        action="change.cancelled", actor=actor, subject=str(change), change=change, data={"not_started": len(queued)}
    )
    record_all([*events, summary])
    return change


@transaction.atomic
def look_again(*, actor: User, change_id: int, replacement_id: int, now: datetime) -> Replacement:
    """Give a held machine back to the engine, in the state that it was held from. No new token, no new epoch."""
    change, row = _held(actor, change_id, replacement_id, now)
    row.state, row.held_from = row.held_from, ""
    row.entered_at, row.due_at, row.deadline_at, row.claims = now, now, None, 0
    row.lease += 1
    row.save()
    wake()
    record(
        action="change.resumed",
        actor=actor,
        subject=f"{row.instance} of {change}",
        change=change,
        instance=row.instance,
        data={"look_again_from": row.state},
    )
    return row


@transaction.atomic
def give_up(*, actor: User, change_id: int, replacement_id: int, now: datetime) -> Replacement:
    """End a held machine as failed, with the outcome that the evidence on record allows."""
    change, row = _held(actor, change_id, replacement_id, now)
    row.state, row.entered_at, row.finished_at, row.due_at = ReplacementState.FAILED, now, now, None
    row.outcome = evidence(row)
    row.lease += 1
    row.save()
    Target.objects.filter(pk=row.target_id).update(open=False)
    close_if_ended(change, now)
    record(
        action="instance.failed",
        actor=actor,
        subject=str(row.instance),
        change=change,
        instance=row.instance,
        data={"outcome": row.outcome, "given_up": True, "note": row.note},
    )
    return row


def evidence(row: Replacement) -> Outcome:
    """Return what a held machine's record says of it, as an outcome."""
    if row.new_disk_id:
        return Outcome.FAILED_REPLACED
    return Outcome.UNKNOWN if row.first_sent_at else Outcome.FAILED_UNTOUCHED


def wake() -> None:
    """Ring the worker's bell in the transaction that is open. A lost ring delays and never loses: the schedule rings too."""
    async_task("fleet.worker.tick")


def _held(actor: User, change_id: int, replacement_id: int, now: datetime) -> tuple[Change, Replacement]:
    change = locked(change_id)
    require("settle_held", change, actor, now)
    row = (
        change.replacements.select_for_update(of=("self",)).select_related("instance").filter(pk=replacement_id).first()
    )
    if row is None or row.state != ReplacementState.HELD:
        raise Refused("This machine is no longer held. Look at its present state.", kind="moved")
    return change, row
