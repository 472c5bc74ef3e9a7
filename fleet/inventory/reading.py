"""Fresh readings for whoever is about to act: straight from the cloud, with types, and written into the mirror on the way.

A reading is complete, or it fails with a CloudError; for callers that do not know the cloud, `not_readable` makes an error of
its own of it. `read_at` is taken before the first call is sent, so that an age counted from it is never too small.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from fleet.cloud import CloudError, DiskView, EcsClient, InstanceView, Retryability
from fleet.cloud.describe import IDS_A_CALL, IMAGE_IDS_A_CALL
from fleet.inventory import store
from fleet.inventory.credentials import client_for
from fleet.inventory.vanished import mark_instances_gone
from fleet.lib.clock import Clock
from fleet.models import Account, Image, Instance, KeyPair

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the cloud showed of one machine. `instance` is the primary key of its row in the mirror; sizes are in GiB.

    Of a machine that no longer exists, `exists` is False and everything else is empty. Without a system disk, `disk_id` is
    empty. `snapshot_running` is None where it was not asked for.
    """

    instance: int
    exists: bool
    read_at: datetime
    status: str = ""
    stopped_mode: str = ""
    locks: tuple[str, ...] = ()
    image_id: str = ""
    key_pair: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    disk_id: str = ""
    disk_size: int = 0
    disk_category: str = ""
    disk_status: str = ""
    disk_image_id: str = ""
    disk_created_at: datetime | None = None
    disk_locks: tuple[str, ...] = ()
    snapshot_policy: str = ""
    delete_auto_snapshot: bool = False
    disk_tags: Mapping[str, str] = field(default_factory=dict)
    snapshot_running: bool | None = None


def refresh(
    instances: Sequence[Instance],
    clock: Clock,
    *,
    also: Mapping[int, str] | None = None,
    each: bool = False,
    snapshots: bool = True,
) -> dict[int, Reading]:
    """Read these machines, bring the mirror up to date, and return a Reading for each by the primary key of its row.

    It takes two calls for each hundred machines of one account and region, one more call for each region for its snapshots in
    progress, and one for each machine whose known disk is no longer shown. `also` saves these: by primary key, a second disk id
    to look for (the one that ReplaceSystemDisk answered). With `each`, the system disk of every machine is asked for by its
    machine, one call each: after an unclear outcome a known disk that is still shown does not prove that no newer one exists.
    """
    also = also or {}
    accounts = Account.objects.select_related("credential").in_bulk({row.account_id for row in instances})
    regions: dict[tuple[int, str], list[Instance]] = defaultdict(list)
    for row in instances:
        regions[row.account_id, row.region].append(row)
    readings: dict[int, Reading] = {}
    for (account_pk, region), rows in regions.items():
        account = accounts[account_pk]
        client = client_for(account, region)
        snapshotting = _snapshotting(client) if snapshots else None
        for chunk in _chunks(rows, IDS_A_CALL):
            read_at = clock.now()
            views, _ = client.describe_instances(ids=[row.instance_id for row in chunk])
            present = {view.instance_id: view for view in views}
            disks = _system_disks(client, chunk, present, also, each)
            _save(account, region, chunk, present, disks, read_at, snapshotting)
            for row in chunk:
                readings[row.pk] = _reading(row, present, disks, read_at, snapshotting)
    return readings


def refresh_images(
    account: Account, region: str, image_ids: Sequence[str], clock: Clock, *, types: bool = True
) -> dict[str, Image | None]:
    """Read these images and return the mirror's rows; None for one that the region does not show, which is marked as gone.

    With `types` it is read too which instance types each image supports, one call for each image. Where the API refuses to
    say, the mirror keeps what it knew.
    """
    client = client_for(account, region)
    wanted = sorted(set(image_ids))
    for chunk in _chunks(wanted, IMAGE_IDS_A_CALL):
        read_at = clock.now()
        views, _ = client.describe_images(image_ids=chunk)
        found = {view.image_id: view for view in views if view.image_id in chunk}
        store.save_images(account=account, region=region, views=found.values(), read_at=read_at)
        mirrored = Image.objects.filter(account=account, region=region)
        mirrored.present().filter(image_id__in=set(chunk) - found.keys()).update(gone_at=read_at)
        for image_id in found if types else ():
            supported = supported_types(client, image_id)
            if supported is not None:
                mirrored.filter(image_id=image_id).update(supported_types=supported)
    rows = Image.objects.filter(account=account, region=region).present().filter(image_id__in=wanted)
    by_id = {row.image_id: row for row in rows}
    return {image_id: by_id.get(image_id) for image_id in wanted}


def refresh_key_pairs(account: Account, region: str, names: Sequence[str], clock: Clock) -> dict[str, KeyPair | None]:
    """Read these key pairs, one call each, and return the mirror's rows; None for one that the region does not show."""
    client = client_for(account, region)
    wanted = sorted(set(names))
    for name in wanted:
        read_at = clock.now()
        views, _ = client.describe_key_pairs(name=name)
        # The API takes the name as a pattern: only a key pair of exactly this name counts.
        exact = [view for view in views if view.name == name]
        store.save_key_pairs(account=account, region=region, views=exact, read_at=read_at)
        if not exact:
            vanished = KeyPair.objects.filter(account=account, region=region, name=name, gone_at=None)
            vanished.update(gone_at=read_at)
    rows = KeyPair.objects.filter(account=account, region=region).present().filter(name__in=wanted)
    by_name = {row.name: row for row in rows}
    return {name: by_name.get(name) for name in wanted}


def supported_types(client: EcsClient, image_id: str) -> list[str] | None:
    """Return the instance types that the image supports; None where the API refuses to say."""
    try:
        return sorted(set(client.image_support_types(image_id=image_id)))
    except CloudError as error:
        if error.retryability is Retryability.REFUSED:
            return None
        raise


def _snapshotting(client: EcsClient) -> set[str]:
    """Return the ids of the disks of which a snapshot is being made."""
    disks: set[str] = set()
    token = ""
    while True:
        views, token = client.describe_snapshots(progressing=True, next_token=token)
        disks |= {view.disk_id for view in views}
        if not token:
            return disks


def _system_disks(
    client: EcsClient,
    rows: Sequence[Instance],
    present: Mapping[str, InstanceView],
    also: Mapping[int, str],
    each: bool,
) -> dict[str, DiskView]:
    alive = [row for row in rows if row.instance_id in present]
    disks: list[DiskView] = []
    if not each:
        known = {disk_id for row in alive for disk_id in (row.disk_id, also.get(row.pk, "")) if disk_id}
        for chunk in _chunks(sorted(known), IDS_A_CALL):
            disks += client.describe_disks(disk_ids=chunk)[0]
    found = store.newest_system_disks(disks)
    for row in alive:
        if row.instance_id not in found:
            disks += client.describe_disks(instance_id=row.instance_id, kind="system")[0]
    return store.newest_system_disks(disks)


def _save(
    account: Account,
    region: str,
    rows: Sequence[Instance],
    present: Mapping[str, InstanceView],
    disks: Mapping[str, DiskView],
    read_at: datetime,
    snapshotting: set[str] | None,
) -> None:
    ids = {row.instance_id for row in rows}
    store.save_instances(account=account, region=region, views=list(present.values()), read_at=read_at)
    store.save_system_disks(account=account, disks=disks.values(), read_at=read_at)
    if diskless := present.keys() - disks.keys():
        store.clear_system_disks(account=account, instance_ids=diskless, read_at=read_at)
    if gone := ids - present.keys():
        mark_instances_gone(account=account, instance_ids=gone, read_at=read_at)
    if snapshotting is not None:
        mirrored = Instance.objects.filter(account=account, instance_id__in=ids)
        mirrored.filter(disk_id__in=snapshotting, disk_snapshot_running=False).update(disk_snapshot_running=True)
        mirrored.filter(disk_snapshot_running=True).exclude(disk_id__in=snapshotting).update(
            disk_snapshot_running=False
        )


def _reading(
    row: Instance,
    present: Mapping[str, InstanceView],
    disks: Mapping[str, DiskView],
    read_at: datetime,
    snapshotting: set[str] | None,
) -> Reading:
    view = present.get(row.instance_id)
    if view is None:
        return Reading(instance=row.pk, exists=False, read_at=read_at)
    machine = Reading(
        instance=row.pk,
        exists=True,
        read_at=read_at,
        status=view.status,
        stopped_mode=view.stopped_mode,
        locks=view.locks,
        image_id=view.image_id,
        key_pair=view.key_pair,
        tags=view.tags,
    )
    disk = disks.get(row.instance_id)
    if disk is None:
        return machine
    return replace(
        machine,
        disk_id=disk.disk_id,
        disk_size=disk.size,
        disk_category=disk.category,
        disk_status=disk.status,
        disk_image_id=disk.image_id,
        disk_created_at=disk.created_at,
        disk_locks=disk.locks,
        snapshot_policy=disk.snapshot_policy,
        delete_auto_snapshot=disk.delete_auto_snapshot,
        disk_tags=disk.tags,
        snapshot_running=None if snapshotting is None else disk.disk_id in snapshotting,
    )


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
