"""Writing what was read into the mirror, in bulk. Each function is one short transaction, or part of the caller's.

A reading that is older than what a row holds does not change the row: a page of a sync may arrive after a fresher reading by the
engine. Rows are locked in the order of their primary keys, so that two writers wait for each other and never deadlock.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q

from fleet.cloud import DiskView, ImageView, InstanceTypeView, InstanceView, KeyPairView
from fleet.models import Account, Image, Instance, InstanceType, KeyPair, SystemDisk

_INSTANCE_FIELDS = [
    "region", "zone", "name", "status", "stopped_mode", "instance_type", "architecture", "os_type", "os_name",
    "image_id", "io_optimized", "charge_type", "expires_at", "key_pair", "private_ip", "public_ip", "tags",
    "environment", "locks", "created_at", "search", "seen_at", "gone_at",
]  # fmt: skip
_DISK_FIELDS = {
    "disk_id": "text",
    "disk_size": "int",
    "disk_category": "text",
    "disk_performance_level": "text",
    "disk_snapshot_policy": "text",
    "disk_delete_auto_snapshot": "boolean",
    "disk_tags": "jsonb",
    "search": "text",
}
_HISTORY_FIELDS = ["image_id", "os_name", "size", "category", "created_at", "gone_at"]
_IMAGE_FIELDS = [
    "name", "os_type", "os_name", "platform", "architecture", "size", "owner", "status", "subscribed",
    "product_code", "io_optimized", "data_disk_snapshots", "created_at", "seen_at", "gone_at",
]  # fmt: skip


@transaction.atomic
def save_instances(*, account: Account, region: str, views: Sequence[InstanceView], read_at: datetime) -> None:
    """Insert or update instances; one that was gone is there again. The columns about disks stay as they are."""
    known = {
        row.instance_id: row
        for row in Instance.objects.select_for_update(no_key=True)
        .filter(account=account, instance_id__in=[view.instance_id for view in views])
        .order_by("pk")
        .only("instance_id", "disk_id", "seen_at")
    }
    types = dict(
        InstanceType.objects.filter(name__in={view.instance_type for view in views}).values_list("name", "architecture")
    )
    rows = []
    for view in sorted(views, key=lambda view: view.instance_id):
        old = known.get(view.instance_id)
        if old is None or old.seen_at <= read_at:
            row = instance_row(account, region, view, types.get(view.instance_type, ""), read_at)
            row.search = search_text(row, disk_id=old.disk_id if old else "")
            rows.append(row)
    Instance.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["account", "instance_id"], update_fields=_INSTANCE_FIELDS
    )


@transaction.atomic
def save_system_disks(*, account: Account, disks: Iterable[DiskView], read_at: datetime) -> None:
    """Write system disks into the rows of their instances, and every new disk into the history.

    A disk whose instance the mirror does not know is ignored: the next sync brings both.
    """
    by_instance = newest_system_disks(disks)
    rows = list(
        Instance.objects.select_for_update(no_key=True)
        .filter(account=account, instance_id__in=by_instance)
        .order_by("pk")
    )
    present = SystemDisk.objects.filter(instance__in=rows, gone_at=None)
    births = {(pk, disk_id): born for pk, disk_id, born in present.values_list("instance", "disk_id", "created_at")}
    changed: list[Instance] = []
    replaced: list[tuple[Instance, DiskView]] = []
    for row in rows:
        if row.seen_at > read_at:
            continue
        disk = by_instance[row.instance_id]
        if _is_former(disk, births.get((row.pk, row.disk_id))):
            continue
        # A disk that is not in the history is new, or its machine was gone and is there again.
        unknown = (row.pk, disk.disk_id) not in births
        if unknown or (row.disk_size, row.disk_category) != (disk.size, disk.category):
            replaced.append((row, disk))
        before = [getattr(row, name) for name in _DISK_FIELDS]
        put_disk(row, disk)
        if before != [getattr(row, name) for name in _DISK_FIELDS]:
            changed.append(row)
    _update_disks(changed)
    _save_history(account, replaced, read_at)


@transaction.atomic
def clear_system_disks(*, account: Account, instance_ids: Collection[str], read_at: datetime) -> None:
    """Record that these instances were shown without a system disk."""
    rows = Instance.objects.filter(account=account, instance_id__in=instance_ids, seen_at__lte=read_at)
    SystemDisk.objects.filter(instance__in=rows, gone_at=None).update(gone_at=read_at)
    rows.exclude(disk_id="").update(
        disk_id="", disk_size=0, disk_snapshot_policy="", disk_tags={}, disk_snapshot_running=False
    )


@transaction.atomic
def save_images(*, account: Account, region: str, views: Iterable[ImageView], read_at: datetime) -> None:
    """Insert or update images; `supported_types` stays as it is."""
    rows = [image_row(account, region, view, read_at) for view in sorted(views, key=lambda view: view.image_id)]
    Image.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["account", "region", "image_id"],
        update_fields=_IMAGE_FIELDS,
    )


def save_key_pairs(*, account: Account, region: str, views: Iterable[KeyPairView], read_at: datetime) -> None:
    """Insert or update key pairs; one that was gone is there again."""
    rows = [
        KeyPair(account=account, region=region, name=view.name, fingerprint=view.fingerprint, seen_at=read_at)
        for view in sorted(views, key=lambda view: view.name)
    ]
    KeyPair.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["account", "region", "name"],
        update_fields=["fingerprint", "seen_at", "gone_at"],
    )


def save_types(views: Iterable[InstanceTypeView]) -> None:
    """Insert or update instance types."""
    rows = [
        InstanceType(name=view.name, architecture=view.architecture, cpu=view.cpu, memory=view.memory)
        for view in sorted(views, key=lambda view: view.name)
    ]
    InstanceType.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["name"], update_fields=["architecture", "cpu", "memory"]
    )


def newest_system_disks(disks: Iterable[DiskView]) -> dict[str, DiskView]:
    """Return the system disk of each instance. During a replacement two may be shown: the newer one counts."""
    newest: dict[str, DiskView] = {}
    for disk in disks:
        if disk.kind != "system" or not disk.instance_id:
            continue
        other = newest.get(disk.instance_id)
        if other is None or _age(disk) > _age(other):
            newest[disk.instance_id] = disk
    return newest


def search_text(row: Instance, *, disk_id: str) -> str:
    """Return the text in which a search looks: name, ids, addresses, image, and tags as `key=value`, in lower case."""
    tags = [f"{key}={value}" for key, value in sorted(row.tags.items())]
    parts = [
        row.name,
        row.instance_id,
        row.private_ip,
        row.public_ip,
        row.image_id,
        disk_id,
        row.os_name,
        *tags,
    ]
    return " ".join(part for part in parts if part).lower()


def _is_former(disk: DiskView, born: datetime | None) -> bool:
    """Say whether the mirror holds a newer disk: the two disks of a replacement may be shown on two pages."""
    return born is not None and disk.created_at is not None and disk.created_at < born


def _age(disk: DiskView) -> float:
    return disk.created_at.timestamp() if disk.created_at else 0.0


def instance_row(account: Account, region: str, view: InstanceView, architecture: str, read_at: datetime) -> Instance:
    """Return an instance as the provider shows it, without its disk and not saved."""
    return Instance(
        account=account,
        region=region,
        zone=view.zone,
        instance_id=view.instance_id,
        name=view.name[:200],
        status=view.status,
        stopped_mode=view.stopped_mode,
        instance_type=view.instance_type,
        architecture=architecture,
        os_type=view.os_type,
        os_name=view.os_name[:200],
        image_id=view.image_id,
        io_optimized=view.io_optimized,
        charge_type=view.charge_type,
        expires_at=view.expires_at,
        key_pair=view.key_pair,
        private_ip=view.private_ip,
        public_ip=view.public_ip,
        tags=view.tags,
        environment=view.tags.get("env", "")[:64],
        locks=list(view.locks),
        created_at=view.created_at,
        seen_at=read_at,
    )


def put_disk(row: Instance, disk: DiskView) -> None:
    """Copy what is shown of a system disk into the row of its instance, without saving the row."""
    row.disk_id = disk.disk_id
    row.disk_size = disk.size
    row.disk_category = disk.category
    row.disk_performance_level = disk.performance_level
    row.disk_snapshot_policy = disk.snapshot_policy
    row.disk_delete_auto_snapshot = disk.delete_auto_snapshot
    row.disk_tags = disk.tags
    row.search = search_text(row, disk_id=disk.disk_id)


def _update_disks(rows: list[Instance]) -> None:
    """Write the columns about disks in one statement: Django's bulk_update takes ten times as long to build its own."""
    if not rows:
        return
    values = [{"id": row.pk, **{name: getattr(row, name) for name in _DISK_FIELDS}} for row in rows]
    assigned = ", ".join(f"{name} = d.{name}" for name in _DISK_FIELDS)
    columns = ", ".join(f"{name} {kind}" for name, kind in _DISK_FIELDS.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE fleet_instance i SET {assigned}"
            f" FROM jsonb_to_recordset(%s::jsonb) AS d (id bigint, {columns}) WHERE i.id = d.id",
            [json.dumps(values)],
        )


def _save_history(account: Account, replaced: list[tuple[Instance, DiskView]], read_at: datetime) -> None:
    if not replaced:
        return
    other = {disk.image_id for row, disk in replaced if row.image_id != disk.image_id}
    names = dict(Image.objects.filter(account=account, image_id__in=other).values_list("image_id", "os_name"))
    SystemDisk.objects.bulk_create(
        [
            SystemDisk(
                instance=row,
                disk_id=disk.disk_id,
                image_id=disk.image_id,
                os_name=row.os_name if row.image_id == disk.image_id else names.get(disk.image_id, ""),
                size=disk.size,
                category=disk.category,
                created_at=disk.created_at,
                first_seen_at=read_at,
            )
            for row, disk in replaced
        ],
        update_conflicts=True,
        unique_fields=["instance", "disk_id"],
        update_fields=_HISTORY_FIELDS,
    )
    present = Q(disk_id__in=[disk.disk_id for _, disk in replaced])
    former = SystemDisk.objects.filter(instance__in=[row.pk for row, _ in replaced], gone_at=None)
    former.exclude(present).update(gone_at=read_at)


def image_row(account: Account, region: str, view: ImageView, read_at: datetime) -> Image:
    """Return an image as one region shows it, without the types that it supports and not saved."""
    return Image(
        account=account,
        region=region,
        image_id=view.image_id,
        name=view.name[:200],
        os_type=view.os_type,
        os_name=view.os_name[:200],
        platform=view.platform[:64],
        architecture=view.architecture,
        size=view.size,
        owner=view.owner,
        status=view.status,
        subscribed=view.subscribed,
        product_code=view.product_code,
        io_optimized=view.io_optimized,
        data_disk_snapshots=view.data_disk_snapshots,
        created_at=view.created_at,
        seen_at=read_at,
    )
