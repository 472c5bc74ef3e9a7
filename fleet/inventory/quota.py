"""Calls are counted as the provider counts them: by account, region and action, in fixed windows of one minute.

The windows are rows, so that all workers on all machines together stay under the limit. What other programs of the account call
is not seen here: that is why an account's own limit is below the provider's.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction

from fleet.models import Account, CallWindow

KEPT = timedelta(hours=1)


def take(account: Account, region: str, action: str, *, wanted: int, limit: int, now: datetime) -> int:
    """Take up to `wanted` calls from the window of this minute and return how many were granted, 0 to `wanted`.

    A call that was granted counts as used even if it is never sent: the other way round, the limit could be broken. Do not call
    this inside a longer transaction: the row of the window stays locked until its end, and every other worker waits.
    """
    if wanted <= 0:
        return 0
    with transaction.atomic():
        used = _add(account.pk, region, action, 0, now)
        granted = max(0, min(wanted, limit - used))
        if granted:
            _add(account.pk, region, action, granted, now)
    return granted


def count(account: Account, region: str, action: str, now: datetime | None = None) -> int:
    """Count one call whose limit is not known, and return how many this minute has. Without `now` the database's clock counts."""
    return _add(account.pk, region, action, 1, now)


def used(account: Account, region: str, action: str, *, now: datetime) -> int:
    """Return how many calls were counted in this minute."""
    minute = now.replace(second=0, microsecond=0)
    windows = CallWindow.objects.filter(account=account, region=region, action=action, minute=minute)
    return windows.values_list("used", flat=True).first() or 0


def prune(*, now: datetime) -> int:
    """Delete the windows that are older than an hour, and return how many."""
    return CallWindow.objects.filter(minute__lt=now - KEPT).delete()[0]


def _add(account: int, region: str, action: str, calls: int, now: datetime | None) -> int:
    """Add calls to the window, whose row stays locked until the transaction ends, and return its new number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO fleet_callwindow AS w (account_id, region, action, minute, used)"
            " VALUES (%s, %s, %s, date_trunc('minute', COALESCE(%s, clock_timestamp())), %s)"
            " ON CONFLICT (account_id, region, action, minute) DO UPDATE SET used = w.used + EXCLUDED.used"
            " RETURNING used",
            [account, region, action, now, calls],
        )
        total: int = cursor.fetchone()[0]
    return total
