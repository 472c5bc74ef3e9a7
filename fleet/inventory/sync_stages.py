"""The stages of the sync of one region: each reads one page, and returns a function that writes it.

Reading and writing are separate, since no call to the cloud may be made inside a transaction. A stage knows nothing of leases and
keeps nothing in memory: its cursor, a token or a page number, says where it goes on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery

from fleet.cloud import EcsClient
from fleet.inventory import store, vanished
from fleet.inventory.data_disks import drop_data_disks, save_data_disks
from fleet.inventory.reading import supported_types
from fleet.models import Image, Instance, InstanceType, RegionMirror

IMAGES_ASKED_A_SYNC = 20
SECONDS_OF_ASKING = 20  # and at most one call more, which is well within the lease


@dataclass(frozen=True)
class Page:
    """A page that was read: `write` writes it into the mirror, and `cursor` says where the stage goes on; None at its end."""

    write: Callable[[], object]
    cursor: str | None


Stage = Callable[[EcsClient, RegionMirror, datetime], Page]


def _instances(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    views, token = client.describe_instances(next_token=mirror.cursor)

    def write() -> None:
        store.save_instances(account=mirror.account, region=mirror.region, views=views, read_at=read_at)

    return Page(write, token or None)


def _types(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    """Read the instance types, but only where a machine has one that is not known yet."""
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
    views, token = client.describe_disks(kind="data", next_token=mirror.cursor)

    def write() -> None:
        save_data_disks(account=mirror.account, region=mirror.region, disks=views, read_at=read_at)
        if not token:
            drop_data_disks(account=mirror.account, region=mirror.region, unseen_since=mirror.started_at)

    return Page(write, token or None)


def _images(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    views, following = client.describe_images(page=int(mirror.cursor or 1))

    def write() -> None:
        store.save_images(account=mirror.account, region=mirror.region, views=views, read_at=read_at)

    return Page(write, str(following) if following else None)


def _image_types(client: EcsClient, mirror: RegionMirror, read_at: datetime) -> Page:
    """Ask which instance types images support: a few images in each sync, of those for which it is not known yet.

    They are taken in random order, so that images for which the API refuses to answer do not keep the others from their turn.
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
    """Read all snapshots in progress at once: the account's quota of concurrent snapshots keeps them few."""
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
    """Mark as gone what this sync did not see. The rows and their history stay."""

    def write() -> None:
        account, region = mirror.account, mirror.region
        vanished.sweep(account=account, region=region, unseen_since=mirror.started_at, now=read_at)
        mirror.instances = Instance.objects.present().filter(account=account, region=region).count()

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
    """Return the name of the stage with which a sync begins."""
    return next(iter(STAGES))


def after(stage: str) -> str:
    """Return the stage that follows, empty after the last."""
    names = [*STAGES, ""]
    return names[names.index(stage) + 1]
