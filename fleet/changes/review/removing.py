"""Taking machines out of a change that is in review or approved: the approvals of the others stay valid."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from fleet.audit.trail import record_on
from fleet.changes.acting import locked
from fleet.changes.drafting.drafts import move_out
from fleet.changes.permissions import require
from fleet.changes.review.deciding import valid_approvals
from fleet.lib.refused import Refused
from fleet.lib.text import listed
from fleet.models import ChangeState, Contributor, Decision, User

NAMED = 50  # machines whose names are put on the trail


@transaction.atomic
def remove_machines(*, actor: User, change_id: int, target_ids: Collection[int], reason: str, now: datetime) -> int:
    """Take machines out of a change that waits or is approved; return how many were taken out.

    An approval signs the leaf digests of the machines, and what is left is a subset of them: it stays valid. Whoever removes
    machines contributes to the change, so that an approval of their own is void; where too few are left, the change is in
    review again.
    """
    change = locked(change_id)
    require("remove", change, actor, now)
    reason = reason.strip()
    if not reason:
        raise Refused("No reason is given. Say why these machines are left out.", field="reason")
    targets = list(change.targets.filter(pk__in=target_ids).select_related("instance").order_by("position"))
    if not targets:
        raise Refused("None of these machines is in the change any more. Look at the list once more.", kind="moved")
    if len(targets) == change.targets.count():
        raise Refused("No machine would be left. Reject the change, or take it back to draft.")
    move_out(change, dict.fromkeys(targets, ("removed", reason)), now=now)
    Contributor.objects.get_or_create(change=change, revision=change.revision, user=actor)
    own = change.approvals.filter(decision=Decision.APPROVE, reviewer=actor, voided_at=None)
    voided = own.update(voided_at=now, void_reason="removed machines from the change afterwards")
    if change.state == ChangeState.APPROVED and len(valid_approvals(change, now)) < change.approvals_needed:
        change.state, change.approved_until, change.waits_for = ChangeState.IN_REVIEW, None, ""
        change.start_at, change.scheduled_by = None, None
        change.save(update_fields=["state", "approved_until", "waits_for", "start_at", "scheduled_by"])
    record_on(
        change,
        "change.machines_removed",
        actor,
        removed=len(targets),
        machines=listed([str(target.instance) for target in targets], NAMED),
        reason=reason,
        own_approval_voided=bool(voided),
    )
    return len(targets)
