"""Marking what the cloud no longer shows: its row gets a `gone_at`, and stays with its history."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from fleet.inventory.data_disks import drop_data_disks
from fleet.models import Account, Image, Instance, KeyPair, RegionMirror, SystemDisk


@transaction.atomic
def mark_instances_gone(*, account: Account, instance_ids: Collection[str], read_at: datetime) -> None:
    """Mark as gone the machines that a reading did not show, except those that were seen after it."""
    rows = Instance.objects.filter(account=account, instance_id__in=instance_ids, gone_at=None, seen_at__lte=read_at)
    SystemDisk.objects.filter(instance__in=rows, gone_at=None).update(gone_at=read_at)
    rows.update(gone_at=read_at)


@transaction.atomic
def sweep(*, account: Account, region: str, unseen_since: datetime | None, now: datetime) -> None:
    """Mark as gone what of a region was not seen since then; None for all of it."""
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
    """Give up the mirror of a region that was taken out of its account: its machines are not read any more."""
    # The row goes first: a worker that is reading this region loses its lease by that, and writes nothing more.
    mirror.delete()
    sweep(account=mirror.account, region=mirror.region, unseen_since=None, now=now)
    drop_data_disks(account=mirror.account, region=mirror.region, unseen_since=None)
