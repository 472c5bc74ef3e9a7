"""The reviewer's acts. An approval means exactly the form that was on the screen: its spec digest and its machines."""

from datetime import datetime, timedelta

from django.db import DatabaseError, transaction

from fleet.audit.trail import record
from fleet.changes.drafting import locked
from fleet.changes.permissions import require
from fleet.changes.refused import Refused
from fleet.engine.passwords import destroy_password
from fleet.lib.text import count, short_digest
from fleet.models import Approval, Change, ChangeState, Comment, Contributor, Decision, User

APPROVAL_LASTS = timedelta(hours=72)
APPROVALS_NEEDED = 1


def approve(*, actor: User, change_id: int, digest: str, confirmed: str, now: datetime) -> Change:
    """Approve the form with this digest; `confirmed` is the number of machines as the reviewer typed it.

    The database refuses the same things once more (trigger `fleet_approval_four_eyes`), whoever asks.
    """
    try:
        with transaction.atomic():
            return _approve(actor=actor, change_id=change_id, digest=digest, confirmed=confirmed, now=now)
    except DatabaseError as error:
        state = getattr(error.__cause__, "sqlstate", "")
        if state == "FO002":
            raise Refused(
                "You had a hand in this change; somebody who had none approves it.", kind="forbidden"
            ) from None
        if state in ("FO003", "23505"):
            raise Refused("The change moved while you looked. Read it once more, then decide.", kind="moved") from None
        raise


def _approve(*, actor: User, change_id: int, digest: str, confirmed: str, now: datetime) -> Change:
    change = locked(change_id)
    require("approve", change, actor, now)
    if digest != change.spec_digest:
        raise Refused(
            f"The plan moved: you looked at {short_digest(digest) or 'another form'}, and now it is"
            f" {short_digest(change.spec_digest)}. Nothing was approved. Read it once more, then decide.",
            kind="moved",
        )
    leaves = list(change.targets.order_by("position").values_list("leaf_digest", flat=True))
    if confirmed.replace(",", "").strip() != str(len(leaves)):
        raise Refused(
            f"{count(len(leaves), 'machine loses its disk', 'machines lose their disk')}. Type {len(leaves)} to confirm that.",
            field="confirm",
        )
    Approval.objects.create(
        change=change,
        revision=change.revision,
        reviewer=actor,
        decision=Decision.APPROVE,
        spec_digest=change.spec_digest,
        leaves=leaves,
        at=now,
        expires_at=now + APPROVAL_LASTS,
    )
    given = valid_approvals(change, now)
    if len(given) >= APPROVALS_NEEDED:
        change.state = ChangeState.APPROVED
        change.approved_until = min(approval.expires_at for approval in given if approval.expires_at)
        change.save(update_fields=["state", "approved_until"])
    record(
        action="change.approved",
        actor=actor,
        subject=str(change),
        change=change,
        data={
            "revision": change.revision,
            "spec_digest": change.spec_digest,
            "machines": len(leaves),
            "approvals": [len(given), APPROVALS_NEEDED],
        },
    )
    return change


def valid_approvals(change: Change, now: datetime) -> list[Approval]:
    """Return the approvals that hold for the present form of the change: same revision and digest, neither void nor expired."""
    return list(
        change.approvals.filter(
            decision=Decision.APPROVE,
            revision=change.revision,
            spec_digest=change.spec_digest,
            voided_at=None,
            expires_at__gt=now,
        ).select_related("reviewer")
    )


@transaction.atomic
def return_to_draft(*, actor: User, change_id: int, reason: str, now: datetime) -> Change:
    """Ask the author for changes: the revision ends, the change is a draft again."""
    change = locked(change_id)
    require("decide", change, actor, now)
    _decide(change, actor, Decision.RETURN, reason, now)
    reopen(change, void_reason="changes were asked for", now=now)
    record(action="change.returned", actor=actor, subject=str(change), change=change, data={"reason": reason.strip()})
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
    record(action="change.rejected", actor=actor, subject=str(change), change=change, data={"reason": reason.strip()})
    return change


@transaction.atomic
def withdraw(*, actor: User, change_id: int, now: datetime) -> Change:
    """Take the change back to draft before it runs; approvals that it had are void."""
    change = locked(change_id)
    require("withdraw", change, actor, now)
    reopen(change, void_reason="the change was taken back to draft", now=now)
    Contributor.objects.get_or_create(change=change, revision=change.revision, user=actor)
    record(
        action="change.returned", actor=actor, subject=str(change), change=change, data={"reason": "taken back by hand"}
    )
    return change


def reopen(change: Change, *, void_reason: str, now: datetime) -> None:
    """Make a locked change a draft again, as a new revision. Its machines are free until the next submit."""
    _void(change, void_reason, now)
    change.targets.update(open=False)
    change.state = ChangeState.DRAFT
    change.revision += 1
    change.spec_digest, change.approved_until, change.due_at = "", None, None
    change.edited_at = now
    change.save()
    Contributor.objects.get_or_create(change=change, revision=change.revision, user=change.author)


@transaction.atomic
def comment(*, actor: User, change_id: int, text: str, now: datetime) -> Comment:
    """Say something that decides nothing."""
    change = locked(change_id)
    require("comment", change, actor, now)
    if not text.strip():
        raise Refused("The comment is empty. Type what you want to say.", field="comment")
    written = Comment.objects.create(change=change, revision=change.revision, author=actor, text=text.strip(), at=now)
    record(action="change.commented", actor=actor, subject=str(change), change=change, data={"text": written.text})
    return written


@transaction.atomic
def expire_approvals(now: datetime) -> int:
    """End the approved changes whose approval ran out before anybody started them; return how many."""
    due = Change.objects.select_for_update(of=("self",), skip_locked=True).select_related("secret")
    changes = list(due.filter(state=ChangeState.APPROVED, approved_until__lt=now))
    for change in changes:
        change.targets.update(open=False)
        change.state, change.finished_at = ChangeState.EXPIRED, now
        change.save(update_fields=["state", "finished_at"])
        destroy_password(change.secret, change=change, now=now)
        record(action="change.expired", subject=str(change), change=change)
    return len(changes)


def _decide(change: Change, actor: User, decision: Decision, reason: str, now: datetime) -> None:
    if not reason.strip():
        raise Refused("No reason is given. Say what has to change, so that the author can act on it.", field="reason")
    Approval.objects.create(
        change=change,
        revision=change.revision,
        reviewer=actor,
        decision=decision,
        spec_digest=change.spec_digest,
        reason=reason.strip(),
        at=now,
    )


def _void(change: Change, why: str, now: datetime) -> None:
    change.approvals.filter(decision=Decision.APPROVE, voided_at=None).update(voided_at=now, void_reason=why)
