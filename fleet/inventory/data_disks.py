"""The data disks of the mirror, and what a machine shows of its own: how many there are, and how large they are together.

One page of disks may hold some of a machine's disks and not the others. So each disk has its row, and the figures of a machine
are counted from the rows: they are right after every page, also in the middle of a sync.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import connection, transaction

from fleet.cloud import DiskView
from fleet.models import Account, DataDisk

_RECOUNT = """
UPDATE fleet_instance i SET data_disks = d.number, data_disk_size = d.size
FROM (
    SELECT m.id, count(k.id) AS number, coalesce(sum(k.size), 0) AS size
    FROM unnest(%(machines)s::text[]) AS m (id)
    LEFT JOIN fleet_datadisk k ON k.account_id = %(account)s AND k.attached_to = m.id
    GROUP BY m.id
) d
WHERE i.account_id = %(account)s AND i.instance_id = d.id AND (i.data_disks, i.data_disk_size) <> (d.number, d.size)
"""


@transaction.atomic
def save_data_disks(*, account: Account, region: str, disks: Iterable[DiskView], read_at: datetime) -> None:
    """Insert or update data disks, and count again for every machine that has or had one of them."""
    rows = [
        DataDisk(
            account=account,
            region=region,
            disk_id=disk.disk_id,
            attached_to=disk.instance_id,
            size=disk.size,
            seen_at=read_at,
        )
        for disk in sorted(disks, key=lambda disk: disk.disk_id)
    ]
    known = DataDisk.objects.filter(account=account, disk_id__in=[row.disk_id for row in rows])
    machines = {*known.values_list("attached_to", flat=True), *(row.attached_to for row in rows)}
    DataDisk.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["account", "disk_id"],
        update_fields=["region", "attached_to", "size", "seen_at"],
    )
    _recount(account, machines)


@transaction.atomic
def drop_data_disks(*, account: Account, region: str, unseen_since: datetime | None) -> None:
    """Delete the data disks of a region that were not seen since then (None: all), and count again for their machines."""
    unseen = DataDisk.objects.filter(account=account, region=region)
    if unseen_since is not None:
        unseen = unseen.filter(seen_at__lt=unseen_since)
    machines = set(unseen.values_list("attached_to", flat=True))
    unseen.delete()
    _recount(account, machines)


def _recount(account: Account, machines: Collection[str]) -> None:
    if named := sorted(set(machines) - {""}):
        with connection.cursor() as cursor:
            cursor.execute(_RECOUNT, {"account": account.pk, "machines": named})
