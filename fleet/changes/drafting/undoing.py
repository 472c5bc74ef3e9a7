"""Undoing a change: a second change that puts back what the snapshots kept. It is reviewed and carried out like any other."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from fleet.audit.trail import record_on
from fleet.changes.drafting.drafts import MOST_MACHINES, freeze_machines
from fleet.guards.policy import Policy
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Change, Login, Snapshot, User


def undoable(now: datetime, change: Change | None = None) -> QuerySet[Snapshot]:
    """Return the snapshots of replaced disks that can be put back, as long as they are kept; the one that expires first leads."""
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
    """Return a draft that puts back the former systems of these machines from their snapshots.

    The image of each machine is made from its snapshot when the change runs. The rollout is that of the change that is undone,
    without its steps. Whoever drafts the undo is its author, and somebody else approves it.
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
    by_machine = {snapshot.instance_id: snapshot.snapshot_id for snapshot in snapshots}
    change = freeze_machines(
        actor=actor,
        instance_pks=by_machine,
        now=now,
        why=f"replaced by #{undone.pk}",
        choices={
            "title": f"Undo #{undone.pk} {undone.title}".strip()[:120],
            "policy": Policy.of(undone.policy).as_json() | {"before": None, "after": None},
            "login": Login.IMAGE,
            "key_pair": "",
            "snapshot_days": undone.snapshot_days,
            "undoes": undone,
        },
        snapshots=by_machine,
    )
    record_on(change, "change.undo_drafted", actor, undoes=undone.pk, machines=len(by_machine))
    return change
