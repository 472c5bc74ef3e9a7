"""Rows of the undo ledger for the browser."""

from datetime import timedelta

from fleet.lib.clock import DatabaseClock
from fleet.models import Change, Snapshot


def ledger(change: Change) -> Change:
    """Keep a snapshot of each replaced machine of a change."""
    now = DatabaseClock().now()
    for row in change.replacements.exclude(new_disk_id="", first_sent_at=None).select_related("instance", "target"):
        Snapshot.objects.create(
            account_id=row.account_id,
            region=row.region,
            snapshot_id=f"s-{row.pk}",
            instance=row.instance,
            replacement=row,
            disk_id=row.target.seen["disk_id"],
            size=40,
            os_type="linux",
            os_name=row.instance.os_name,
            ready_at=now,
            created_at=now,
            expires_at=now + timedelta(days=7),
        )
    return change
