"""Copying a change: a new draft with the same settings, for those of its machines that are still there."""

from datetime import datetime

from django.db import transaction

from fleet.audit.trail import record_on
from fleet.changes.drafting.drafts import create_draft
from fleet.changes.drafting.selection import split_machines
from fleet.changes.drafting.settings import window_faults
from fleet.lib.refused import Refused
from fleet.models import Change, User

# What a person chose. The password is not among it: it belongs to one change, and is destroyed with it.
CHOSEN = (
    "title",
    "reason",
    "ticket",
    "rollback_plan",
    "image_id",
    "disk_size",
    "login",
    "key_pair",
    "security_enhancement",
    "snapshot_days",
    "policy",
    "calendar",
    "undoes",
)
WINDOW = ("not_before", "not_after")


@transaction.atomic
def copy_change(*, actor: User, change_id: int, now: datetime) -> Change:
    """Draft a change once more. A machine that is gone, or not in the scope of the actor, is listed in the copy as left out.

    A machine that is locked or in an open change (perhaps the original itself) stays in: a draft reserves no machine, and such
    a machine is blocked at submit as long as that holds. A window that has passed is not copied.
    """
    original = Change.objects.get(pk=change_id)
    snapshots: dict[int, str] = dict(original.targets.values_list("instance_id", "snapshot_id"))
    wanted, omissions = split_machines(actor=actor, instance_pks=snapshots, now=now, free=False)
    if not wanted:
        forbidden = any(omission.code == "not_permitted" for omission in omissions)
        raise Refused(
            "You are no operator for any machine of this change. Ask an administrator."
            if forbidden
            else "None of its machines is there any more. Draft a new change on the page Instances.",
            kind="forbidden" if forbidden else "moved",
        )
    in_time = not window_faults(original.not_before, original.not_after, now)
    copied = (*CHOSEN, *(WINDOW if in_time else ()))
    copy = create_draft(
        actor=actor,
        instance_pks=[machine.pk for machine in wanted],
        now=now,
        why=f"copied from #{original.pk}",
        omissions=omissions,
        choices={name: getattr(original, name) for name in copied}
        | {"images": original.images, "copied_from": original},
        snapshots=snapshots,
    )
    data = {"from": original.pk, "machines": len(wanted), "left_out": len(omissions)}
    record_on(copy, "change.copied", actor, **data)
    return copy
