"""What reviewers do. An approval is for exactly the plan that was on the screen: its spec digest and its machines."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from fleet.audit.trail import record_on
from fleet.changes.acting import locked
from fleet.changes.permissions import require
from fleet.changes.review.groups import Group, grouped
from fleet.changes.review.quorum import refusals_of_the_database
from fleet.changes.review.requirements import assess, require_met
from fleet.guards import approvals
from fleet.guards.window import window_of
from fleet.lib.refused import Refused
from fleet.lib.text import count, short_digest
from fleet.models import Approval, Change, ChangeState, Comment, Contributor, Decision, SeenMark, User
from fleet.vault.passwords import destroy_password

APPROVAL_LASTS = timedelta(hours=72)


def approve(*, actor: User, change_id: int, digest: str, confirmed: str, now: datetime) -> Change:
    """Approve the plan with this digest; `confirmed` is the number of machines as the reviewer typed it.

    The list that the reviewer saw (`requirements`) decides, and triggers of the database refuse the gravest once more, whatever
    code asks.
    """
    with refusals_of_the_database(), transaction.atomic():
        return _approve(actor=actor, change_id=change_id, digest=digest, confirmed=confirmed, now=now)


def _approve(*, actor: User, change_id: int, digest: str, confirmed: str, now: datetime) -> Change:
    change = locked(change_id)
    require("approve", change, actor, now)
    if digest != change.spec_digest:
        raise Refused(
            f"The plan moved: you looked at {short_digest(digest) or 'another form'}, and now it is"
            f" {short_digest(change.spec_digest)}. Nothing was approved. Read it once more, then decide.",
            kind="moved",
        )
    assessed = assess(change, actor, now)
    require_met(assessed.requirements)
    # In review all of its machines are open; of a change that stopped by itself, those that are left.
    leaves = list(change.targets.filter(open=True).order_by("position").values_list("leaf_digest", flat=True))
    if confirmed.replace(",", "").strip() != str(len(leaves)):
        raise Refused(
            f"{count(len(leaves), 'machine loses its disk', 'machines lose their disk')}. Type {len(leaves)} to confirm that.",
            field="confirm",
        )
    ends = assessed.window.hours.ends_at
    Approval.objects.create(
        change=change,
        revision=change.revision,
        round=change.round,
        reviewer=actor,
        decision=Decision.APPROVE,
        spec_digest=change.spec_digest,
        leaves=leaves,
        at=now,
        expires_at=min(now + APPROVAL_LASTS, ends) if ends else now + APPROVAL_LASTS,
    )
    given = valid_approvals(change, now)
    if len(given) >= change.approvals_needed:
        if change.state == ChangeState.IN_REVIEW:
            change.state = ChangeState.APPROVED
        change.approved_until = min(approval.expires_at for approval in given if approval.expires_at)
        change.save(update_fields=["state", "approved_until"])
    record_on(
        change,
        "change.approved",
        actor,
        revision=change.revision,
        spec_digest=change.spec_digest,
        machines=len(leaves),
        approvals=[len(given), change.approvals_needed],
    )
    return change


def valid_approvals(change: Change, now: datetime) -> list[Approval]:
    """Return the approvals that are valid for the present form of the change, with their reviewers."""
    return list(approvals.valid_approvals(change, now).select_related("reviewer"))


@transaction.atomic
def mark_seen(*, actor: User, change_id: int, key: str, now: datetime) -> SeenMark:
    """Mark a group of machines as seen; an approval needs that of every group with warnings."""
    change, group = _group(actor, change_id, key, now)
    mark, new = SeenMark.objects.get_or_create(
        change=change, revision=change.revision, reviewer=actor, group_key=key, defaults={"at": now}
    )
    if new:
        record_on(
            change,
            "change.group_seen",
            actor,
            revision=change.revision,
            group=group.heading,
            key=key,
            machines=group.machines,
        )
    return mark


@transaction.atomic
def unmark_seen(*, actor: User, change_id: int, key: str, now: datetime) -> None:
    """Take back the mark that a group was seen."""
    change, group = _group(actor, change_id, key, now)
    deleted, _ = change.seen_marks.filter(revision=change.revision, reviewer=actor, group_key=key).delete()
    if deleted:
        record_on(
            change,
            "change.group_unseen",
            actor,
            revision=change.revision,
            group=group.heading,
            key=key,
            machines=group.machines,
        )


def _group(actor: User, change_id: int, key: str, now: datetime) -> tuple[Change, Group]:
    change = locked(change_id)
    require("mark", change, actor, now)
    group = next((each for each in grouped(change).groups if each.key == key), None)
    if group is None:
        raise Refused("There is no such group any more. Look at the list of groups once more.", kind="moved")
    return change, group


@transaction.atomic
def return_to_draft(*, actor: User, change_id: int, reason: str, now: datetime) -> Change:
    """Ask the author for changes: the revision ends, the change is a draft again."""
    change = locked(change_id)
    require("decide", change, actor, now)
    _decide(change, actor, Decision.RETURN, reason, now)
    reopen(change, void_reason="changes were asked for", now=now)
    record_on(change, "change.returned", actor, reason=reason.strip())
    return change


@transaction.atomic
def reject(*, actor: User, change_id: int, reason: str, now: datetime) -> Change:
    """Reject the change for good: its machines are free again and its password is destroyed."""
    change = locked(change_id)
    require("decide", change, actor, now)
    _decide(change, actor, Decision.REJECT, reason, now)
    _void(change, "the change was rejected", now)
    change.targets.update(open=False)
    change.state, change.finished_at = ChangeState.REJECTED, now
    change.save(update_fields=["state", "finished_at"])
    destroy_password(change.secret, change=change, now=now, actor=actor)
    record_on(change, "change.rejected", actor, reason=reason.strip())
    return change


@transaction.atomic
def withdraw(*, actor: User, change_id: int, now: datetime) -> Change:
    """Take the change back to draft before it runs; approvals that it had are void."""
    change = locked(change_id)
    require("withdraw", change, actor, now)
    reopen(change, void_reason="the change was taken back to draft", now=now)
    Contributor.objects.get_or_create(change=change, revision=change.revision, user=actor)
    record_on(change, "change.returned", actor, reason="taken back by hand")
    return change


def reopen(change: Change, *, void_reason: str, now: datetime) -> None:
    """Make a locked change a draft again, as a new revision. Its machines are free until the next submit."""
    _void(change, void_reason, now)
    change.targets.update(open=False)
    change.state = ChangeState.DRAFT
    change.revision += 1
    change.spec_digest, change.approved_until, change.due_at = "", None, None
    change.approvals_needed, change.quorum_reasons, change.round = 1, [], 1
    change.start_at, change.scheduled_by, change.waits_for = None, None, ""
    change.edited_at = now
    change.lease += 1  # a worker that still checks it finds itself overtaken
    change.save()
    Contributor.objects.get_or_create(change=change, revision=change.revision, user=change.author)


@transaction.atomic
def comment(
    *, actor: User, change_id: int, text: str, now: datetime, group_key: str = "", instance_pk: int | None = None
) -> Comment:
    """Comment on the whole change, on a group of machines, or on one machine. It decides nothing."""
    change = locked(change_id)
    require("comment", change, actor, now)
    if not text.strip():
        raise Refused("The comment is empty. Type what you want to say.", field="comment")
    if instance_pk is not None and not change.targets.filter(instance=instance_pk).exists():
        raise Refused("This machine is not part of the change any more. Comment on the change.", kind="moved")
    if group_key and not any(group.key == group_key for group in grouped(change).groups):
        raise Refused("There is no such group any more. Comment on the change.", kind="moved")
    written = Comment.objects.create(
        change=change,
        revision=change.revision,
        author=actor,
        text=text.strip(),
        at=now,
        group_key=group_key,
        instance_id=instance_pk,
    )
    about = {"group": group_key} if group_key else {"instance": instance_pk} if instance_pk is not None else {}
    record_on(change, "change.commented", actor, text=written.text, **about)
    return written


def expire_approvals(now: datetime) -> int:
    """End what was not started in time: approvals that ran out, hours that are over. Return how many changes ended.

    Hours that were missed are not made up for later: a late start would surprise those who are on duty then.
    """
    waiting = Change.objects.filter(state__in=[ChangeState.IN_REVIEW, ChangeState.APPROVED]).filter(
        Q(state=ChangeState.APPROVED, approved_until__lte=now) | Q(not_after__lte=now) | Q(calendar__isnull=False)
    )
    return sum(_expire_if_due(pk, now) for pk in waiting.values_list("pk", flat=True))


@transaction.atomic
def _expire_if_due(change_id: int, now: datetime) -> bool:
    change = Change.objects.select_for_update(of=("self",), skip_locked=True).select_related("secret")
    found = change.filter(pk=change_id, state__in=[ChangeState.IN_REVIEW, ChangeState.APPROVED]).first()
    if found is None:
        return False
    if found.state == ChangeState.APPROVED and found.approved_until and found.approved_until <= now:
        expire(found, "Its approval ran out before anybody started it.", now)
        return True
    ends = window_of(found, now).hours.ends_at
    if ends and ends <= now:
        expire(found, "Its hours were over before it started.", now)
        return True
    return False


def expire(change: Change, why: str, now: datetime) -> None:
    """End a locked change that was not started in time: its machines are free, its password is destroyed."""
    change.targets.update(open=False)
    change.state, change.finished_at, change.waits_for = ChangeState.EXPIRED, now, ""
    change.save(update_fields=["state", "finished_at", "waits_for"])
    destroy_password(change.secret, change=change, now=now)
    record_on(change, "change.expired", why=why)


def _decide(change: Change, actor: User, decision: Decision, reason: str, now: datetime) -> None:
    if not reason.strip():
        raise Refused("No reason is given. Say what has to change, so that the author can act on it.", field="reason")
    Approval.objects.create(
        change=change,
        revision=change.revision,
        round=change.round,
        reviewer=actor,
        decision=decision,
        spec_digest=change.spec_digest,
        reason=reason.strip(),
        at=now,
    )


def _void(change: Change, why: str, now: datetime) -> None:
    change.approvals.filter(decision=Decision.APPROVE, voided_at=None).update(voided_at=now, void_reason=why)
