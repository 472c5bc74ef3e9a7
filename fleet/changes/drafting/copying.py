"""A change once more: a new draft with the same settings, for those of its machines that are still there."""

from datetime import datetime

from django.db import transaction

from fleet.audit.trail import record_on
from fleet.changes.drafting.drafts import create_draft
from fleet.changes.drafting.selection import left_out, sorted_out
from fleet.changes.drafting.settings import window_faults
from fleet.changes.judging.images import key_of
from fleet.lib.refused import Refused
from fleet.models import Change, Target, User

# What a person chose. A password is not among it: it belongs to one change, and is destroyed with it.
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
    """Draft a change again. Who is gone, or not in the scope of the actor, is left out of the copy and listed there.

    Machines that are locked or in an open change (the original may be one) stay in: a draft takes nothing, and they are
    blocked at submit as long as that holds. A window that has passed is not copied.
    """
    original = Change.objects.get(pk=change_id)
    before: dict[int, str] = dict(original.targets.values_list("instance_id", "snapshot_id"))
    wanted, misses = sorted_out(actor=actor, instance_pks=before, now=now, free=False)
    if not wanted:
        forbidden = any(miss.code == "not_permitted" for miss in misses)
        raise Refused(
            "You are no operator for any machine of this change. Ask an administrator."
            if forbidden
            else "None of its machines is there any more. Draft a new change on the page Instances.",
            kind="forbidden" if forbidden else "moved",
        )
    copy = create_draft(
        actor=actor,
        instance_pks=[one.pk for one in wanted],
        now=now,
        why=f"copied from #{original.pk}",
        near=left_out(misses, now),
    )
    for name in CHOSEN:
        setattr(copy, name, getattr(original, name))
    if not window_faults(original.not_before, original.not_after, now):
        for name in WINDOW:
            setattr(copy, name, getattr(original, name))
    places = {key_of((one.account_id, one.region)) for one in wanted}
    copy.images = {place: image for place, image in original.images.items() if place in places}
    copy.copied_from = original
    copy.save()
    put_back = list(copy.targets.filter(instance__in=[pk for pk, kept in before.items() if kept]))
    for target in put_back:
        target.snapshot_id = before[target.instance_id]
    Target.objects.bulk_update(put_back, ["snapshot_id"])
    data = {"from": original.pk, "machines": len(wanted), "left_out": len(misses)}
    record_on(copy, "change.copied", actor, **data)
    return copy
