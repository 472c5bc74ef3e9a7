"""The stages of one region's sync: each reads one page and returns how to write it.

Reading and writing are apart, since no call to the cloud may happen inside a transaction. A stage knows
nothing of leases and keeps nothing in memory: where it goes on is its cursor, a token or a page number.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import OuterRef, Subquery

from fleet.cloud import DiskView, EcsClient
from fleet.inventory import store
from fleet.inventory.reading import supported_types
from fleet.models import Account, Image, Instance, InstanceType, KeyPair, RegionMirror, SystemDisk

IMAGES_ASKED_A_SYNC = 20
SECONDS_OF_ASKING = 20  # and one call more: well inside the lease


@dataclass(frozen=True)
class Page:
    """One page that was read: `write` puts it into the mirror, `cursor` is where the stage goes on, None at
    its end.
    """

    write: Callable[[], object]
    cursor: str | None


Stage = Callable[[EcsClient, RegionMirror, datetime], Page]


def _instances(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    views, token = client.describe_instances(next_token=mirror.cursor)

    def write() -> None:
        store.save_instances(account=mirror.account, region=mirror.region, views=views, read_at=read_at)

    return Page(write, token or None)


def _types(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    """Read the instance types, only where a machine has one that is not known yet."""
    here = Instance.objects.filter(account=mirror.account, region=mirror.region)
    unknown = here.present().exclude(instance_type__in=InstanceType.objects.values("name"))
    if not mirror.cursor and not unknown.exists():
        return Page(lambda: None, None)
    views, token = client.describe_instance_types(next_token=mirror.cursor)

    def write() -> None:
        store.save_types(views)
        architecture = InstanceType.objects.filter(name=OuterRef("instance_type")).values("architecture")
        without = here.filter(architecture="", instance_type__in=[view.name for view in views])
        without.update(architecture=Subquery(architecture))

    return Page(write, token or None)


def _disks(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    views, token = client.describe_disks(kind="system", next_token=mirror.cursor)
    return Page(lambda: store.save_system_disks(account=mirror.account, disks=views, read_at=read_at), token or None)


def _data_disks(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    """Count the data disks. The first page sets, the others add, so that no page needs what an earlier one
    held.

    In a region of more than one page of data disks the counts are too low until the stage's end.
    """
    views, token = client.describe_disks(kind="data", next_token=mirror.cursor)
    first = not mirror.cursor
    return Page(lambda: _count_data_disks(mirror.account, mirror.region, views, first=first), token or None)


def _images(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    views, following = client.describe_images(page=int(mirror.cursor or 1))

    def write() -> None:
        store.save_images(account=mirror.account, region=mirror.region, views=views, read_at=read_at)

    return Page(write, str(following) if following else None)


def _image_types(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    """Ask which instance types images support: those that nobody has asked about, a few a sync, in any order.

    In any order: one that the API refuses to answer for does not keep the others from their turn.
    """
    present = Image.objects.filter(account=mirror.account, region=mirror.region).present()
    asked = list(present.filter(supported_types=None).order_by("?")[:IMAGES_ASKED_A_SYNC])
    answers: dict[int, list[str] | None] = {}
    until = time.monotonic() + SECONDS_OF_ASKING
    for image in asked:
        if time.monotonic() < until:
            answers[image.pk] = supported_types(client, image.image_id)

    def write() -> None:
        for pk, supported in answers.items():
            if supported is not None:
                Image.objects.filter(pk=pk).update(supported_types=supported)

    return Page(write, None)


def _key_pairs(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    views, following = client.describe_key_pairs(page=int(mirror.cursor or 1))

    def write() -> None:
        store.save_key_pairs(account=mirror.account, region=mirror.region, views=views, read_at=read_at)

    return Page(write, str(following) if following else None)


def _snapshots(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    """Read all snapshots in progress at once: the account's quota of concurrent ones keeps them few."""
    disks: list[str] = []
    token = ""
    while True:
        views, token = client.describe_snapshots(progressing=True, next_token=token)
        disks += [view.disk_id for view in views]
        if not token:
            break

    def write() -> None:
        here = Instance.objects.filter(account=mirror.account, region=mirror.region, seen_at__lte=read_at)
        here.filter(disk_id__in=disks, disk_snapshot_running=False).update(disk_snapshot_running=True)
        over = here.filter(disk_snapshot_running=True).exclude(disk_id__in=disks)
        over.update(disk_snapshot_running=False)

    return Page(write, None)


def _sweep(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    """Mark what this sync did not see. Its row and its history stay."""

    def write() -> None:
        unseen = {"account": mirror.account, "region": mirror.region, "gone_at": None}
        before = {"seen_at__lt": mirror.started_at}
        gone = Instance.objects.filter(**unseen, **before)
        SystemDisk.objects.filter(instance__in=gone, gone_at=None).update(gone_at=read_at)
        gone.update(gone_at=read_at)
        Image.objects.filter(**unseen, **before).update(gone_at=read_at)
        KeyPair.objects.filter(**unseen, **before).update(gone_at=read_at)
        mirror.instances = Instance.objects.filter(**unseen).count()

    return Page(write, None)


STAGES: dict[str, Stage] = {
    "instances": _instances,
    "types": _types,
    "disks": _disks,
    "data_disks": _data_disks,
    "images": _images,
    "image_types": _image_types,
    "key_pairs": _key_pairs,
    "snapshots": _snapshots,
    "sweep": _sweep,
}


def first() -> str:
    return next(iter(STAGES))


def after(stage: str) -> str:
    """Return the stage that follows, empty after the last."""
    names = [*STAGES, ""]
    return names[names.index(stage) + 1]


def _count_data_disks(account: Account, region: str, disks: list[DiskView], *, first: bool) -> None:
    counts: dict[str, int] = defaultdict(int)
    sizes: dict[str, int] = defaultdict(int)
    for disk in disks:
        if disk.instance_id:
            counts[disk.instance_id] += 1
            sizes[disk.instance_id] += disk.size
    if first:
        here = Instance.objects.filter(account=account, region=region, data_disks__gt=0)
        here.exclude(instance_id__in=counts).update(data_disks=0, data_disk_size=0)
    before = ("0", "0") if first else ("i.data_disks", "i.data_disk_size")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE fleet_instance i"
            f" SET data_disks = {before[0]} + d.n, data_disk_size = {before[1]} + d.size"
            " FROM unnest(%s::text[], %s::int[], %s::int[]) AS d (instance_id, n, size)"
            " WHERE i.account_id = %s AND i.instance_id = d.instance_id"
            f" AND (i.data_disks, i.data_disk_size) <> ({before[0]} + d.n, {before[1]} + d.size)",
            [list(counts), list(counts.values()), [sizes[one] for one in counts], account.pk],
        )
