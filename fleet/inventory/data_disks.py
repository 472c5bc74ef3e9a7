"""The data disks of the mirror, row by row, and what their machines show of them: how many, and how large together.

A page of disks says nothing whole of any machine. So each disk has its row, and a machine's figures are counted from the rows:
they are right after every page, also in the middle of a sync.
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
    """Upsert data disks, and count afresh for every machine that has one of them or had it."""
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
    """Forget the data disks of a region that were not seen since then, None for all, and count afresh for their machines."""
    gone = DataDisk.objects.filter(account=account, region=region)
    if unseen_since is not None:
        gone = gone.filter(seen_at__lt=unseen_since)
    machines = set(gone.values_list("attached_to", flat=True))
    gone.delete()
    _recount(account, machines)


def _recount(account: Account, machines: Collection[str]) -> None:
    if named := sorted(set(machines) - {""}):
        with connection.cursor() as cursor:
            cursor.execute(_RECOUNT, {"account": account.pk, "machines": named})
