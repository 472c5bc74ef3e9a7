"""Marking what vanished: the row stays with `gone_at`, and so does its history."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from fleet.inventory.data_disks import drop_data_disks
from fleet.models import Account, Image, Instance, KeyPair, RegionMirror, SystemDisk


@transaction.atomic
def mark_instances_gone(*, account: Account, instance_ids: Collection[str], read_at: datetime) -> None:
    """Mark machines that a reading did not show, but for those that were seen later."""
    rows = Instance.objects.filter(account=account, instance_id__in=instance_ids, gone_at=None, seen_at__lte=read_at)
    SystemDisk.objects.filter(instance__in=rows, gone_at=None).update(gone_at=read_at)
    rows.update(gone_at=read_at)


@transaction.atomic
def sweep(*, account: Account, region: str, unseen_since: datetime | None, now: datetime) -> None:
    """Mark what of a region was not seen since then, None for all of it."""
    present: dict[str, object] = {"account": account, "region": region, "gone_at": None}
    if unseen_since is not None:
        present["seen_at__lt"] = unseen_since
    machines = Instance.objects.filter(**present)
    SystemDisk.objects.filter(instance__in=machines, gone_at=None).update(gone_at=now)
    machines.update(gone_at=now)
    Image.objects.filter(**present).update(gone_at=now)
    KeyPair.objects.filter(**present).update(gone_at=now)


@transaction.atomic
def leave_region(mirror: RegionMirror, *, now: datetime) -> None:
    """Give up the mirror of a region that was taken out of its account: nobody looks after its machines any more."""
    # The row first: a worker that reads this region just now is overtaken by that, and writes nothing any more.
    mirror.delete()
    sweep(account=mirror.account, region=mirror.region, unseen_since=None, now=now)
    drop_data_disks(account=mirror.account, region=mirror.region, unseen_since=None)
