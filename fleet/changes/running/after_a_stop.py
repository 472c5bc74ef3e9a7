"""After a change has stopped by itself: the rest of its machines begins only once it was approved afresh."""

from datetime import datetime

from django.db import transaction

from fleet.audit.trail import record_on
from fleet.changes.acting import locked, wake
from fleet.changes.permissions import require
from fleet.changes.review.quorum import refusals_of_the_database, require_approvals
from fleet.engine.admission import admit
from fleet.engine.waves import counts_of
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Change, ChangeState, Contributor, User


@transaction.atomic
def ask_for_rest(*, actor: User, change_id: int, reason: str, now: datetime) -> Change:
    """Ask for a fresh approval of the machines that have not begun.

    Refused while a machine is in flight or held: whoever approves must know how each of them ended. What has failed until now
    no longer counts against the error budgets once the rest runs.
    """
    change = locked(change_id)
    require("act_on_held", change, actor, now)
    if change.state != ChangeState.TRIPPED:
        raise Refused(f"It is {change.get_state_display().lower()}; it did not stop by itself.", kind="moved")
    if not reason.strip():
        raise Refused("Say what failed and why the rest will not, so that reviewers can judge it.", field="reason")
    whole = counts_of(change).whole
    if whole.in_flight:
        first = f"{count(whole.held, 'machine is', 'machines are')} held" if whole.held else "Machines are in flight"
        raise Refused(f"{first}. Settle them first: reviewers need to know how each one ended.", kind="moved")
    change.round += 1
    # No wave is open until the rest was let go on: that tells this stop from one that nobody has asked about yet.
    change.approved_until = change.wave_opened_at = None
    change.failures_forgiven, change.skips_forgiven = whole.failed, whole.skipped
    change.waits_for = f"The rest waits for a fresh approval: {reason.strip()}"[:300]
    change.save(
        update_fields=["round", "approved_until", "wave_opened_at", "failures_forgiven", "skips_forgiven", "waits_for"]
    )
    # Whoever says that it is safe to go on cannot be the one who approves that.
    Contributor.objects.get_or_create(change=change, revision=change.revision, user=actor)
    record_on(
        change,
        "change.rest_asked",
        actor,
        round=change.round,
        machines=whole.queued,
        failed=whole.failed,
        reason=reason.strip()[:400],
    )
    return change


@refusals_of_the_database()
@transaction.atomic
def resume_rest(*, actor: User, change_id: int, now: datetime) -> Change:
    """Let the rest run, once it was approved afresh."""
    change = locked(change_id)
    require("act_on_held", change, actor, now)
    if not change.rest_asked:
        raise Refused("Nobody asked for a fresh approval of the rest yet. Ask for it first.", kind="moved")
    targets = list(
        change.targets.filter(open=True).select_related("instance", "instance__account").order_by("position")
    )
    require_approvals(change, targets, now)
    change.state, change.waits_for, change.wave_opened_at = ChangeState.RUNNING, "", now
    change.save(update_fields=["state", "waits_for", "wave_opened_at"])
    admit(change, now)
    wake()
    record_on(change, "change.resumed", actor, round=change.round, machines=len(targets))
    return change
