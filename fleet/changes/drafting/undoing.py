"""Undo: a change that puts back what a snapshot kept. It is drafted here, and reviewed and carried out like any other."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from fleet.audit.trail import record_on
from fleet.changes.drafting.drafts import MOST_MACHINES
from fleet.guards.policy import Policy
from fleet.guards.roles import has_role_over
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Change, Contributor, Login, Role, Snapshot, Target, User


def undoable(now: datetime, change: Change | None = None) -> QuerySet[Snapshot]:
    """Return what can be undone: snapshots of disks that were replaced, as long as they are kept; soonest expiry first."""
    found = Snapshot.objects.filter(
        ready_at__isnull=False,
        gone_at=None,
        expires_at__gt=now,
        replacement__isnull=False,
        instance__gone_at=None,
    ).exclude(replacement__new_disk_id="", replacement__first_sent_at=None)
    if change is not None:
        found = found.filter(replacement__change=change)
    related = ("instance", "account", "replacement", "replacement__change")
    return found.select_related(*related).order_by("expires_at", "pk")


@transaction.atomic
def draft_undo(*, actor: User, change_id: int, replacement_ids: Sequence[int], now: datetime) -> Change:
    """Return a draft that puts the old systems of these machines back from their snapshots.

    Each machine's image is made from its snapshot when the change runs. The rollout is that of the change that is undone,
    without its steps; whoever drafts it is its author, and somebody else approves it.
    """
    undone = Change.objects.filter(pk=change_id).first()
    if undone is None:
        raise Refused("This change does not exist.", kind="forbidden")
    if not replacement_ids:
        raise Refused("No machine is selected. Tick at least one, then press Undo.")
    wanted = set(replacement_ids)
    snapshots = list(undoable(now, undone).filter(replacement__in=wanted)[: MOST_MACHINES + 1])
    if len(snapshots) < len(wanted):
        missing = count(len(wanted) - len(snapshots), "machine has", "machines have")
        raise Refused(
            f"{missing} no snapshot any more that could be put back. Look at the list once more.", kind="moved"
        )
    if not has_role_over(actor, Role.OPERATOR, {(one.account_id, one.instance.environment) for one in snapshots}):
        raise Refused(
            "You are no operator for all of these machines. Ask an administrator, or select fewer.", kind="forbidden"
        )
    policy = Policy.of(undone.policy).as_json() | {"before": None, "after": None}
    change = Change.objects.create(
        title=f"Undo #{undone.pk} {undone.title}".strip()[:120],
        author=actor,
        created_at=now,
        edited_at=now,
        policy=policy,
        login=Login.IMAGE,
        snapshot_days=undone.snapshot_days,
        undoes=undone,
    )
    snapshots.sort(key=lambda one: (one.instance.name, one.instance_id))
    Target.objects.bulk_create(
        Target(
            change=change,
            instance=one.instance,
            position=place,
            why=f"replaced by #{undone.pk}",
            snapshot_id=one.snapshot_id,
        )
        for place, one in enumerate(snapshots)
    )
    Contributor.objects.create(change=change, revision=change.revision, user=actor)
    record_on(change, "change.undo_drafted", actor, undoes=undone.pk, machines=len(snapshots))
    return change
