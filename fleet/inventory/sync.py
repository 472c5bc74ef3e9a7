"""Keeping the mirror fresh, region by region: a sync can be resumed, and there are never two at once for one region.

The row of a region says at which stage and at which cursor its sync goes on. A page and the cursor behind it are written in one
transaction, guarded by the lease: a worker that was overtaken writes nothing. A process that dies loses at most the page that it
was reading.
"""

import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models, transaction
from django.db.models import F, Q

from fleet.cloud import CloudError, Retryability
from fleet.inventory import quota, sync_stages
from fleet.inventory.credentials import client_for
from fleet.inventory.vanished import leave_region
from fleet.lib.clock import Clock
from fleet.models import Account, Heartbeat, RegionMirror

logger = logging.getLogger(__name__)

# Longer than the slowest page. The exception is a page of twenty calls about images, which may take 10 s each.
LEASE = timedelta(seconds=60)
INTERVAL = timedelta(seconds=60)
LONGEST_INTERVAL = timedelta(minutes=30)
MACHINES_AN_INTERVAL = 1000
STALE = timedelta(hours=2)  # a sync that takes longer begins again: its first pages are old by then
_PAUSES = {
    Retryability.RETRY: timedelta(seconds=15),
    Retryability.UNKNOWN_OUTCOME: timedelta(seconds=15),
    Retryability.REFUSED: timedelta(minutes=5),
}


@dataclass
class Pass:
    """What one call of `sync_due` did."""

    pages: int = 0
    finished: int = 0
    failed: int = 0


class LeaseLost(Exception):
    """Another worker has taken the lease of the region meanwhile."""


def sync_due(*, clock: Clock, budget_seconds: float, pages: int = 200) -> Pass:
    """Continue the syncs that are due until none is left, `pages` have been read, or the seconds are over.

    A page that was begun is finished, so the calls of one page may run past the budget. Any number of processes may call this
    at the same time.
    """
    done = Pass()
    until = time.monotonic() + budget_seconds
    now = clock.now()
    ensure_mirrors(clock=clock)
    quota.prune(now=now)
    while done.pages < pages and time.monotonic() < until:
        mirror = _claim(clock.now())
        if mirror is None:
            break
        _work(mirror, clock, done, until, pages)
    _beat(clock.now(), done)
    return done


def sync_all(*, clock: Clock, patience_seconds: float = 120) -> Iterator[RegionMirror]:
    """Sync every region now and yield each one when it ends; the `note` says why a region could not be synced.

    Where another worker is syncing a region already, this waits for it, for at most `patience_seconds`.
    """
    ensure_mirrors(clock=clock)
    asked = clock.now()
    ask_now(clock=clock)
    everything = RegionMirror.objects.select_related("account").order_by("account__name", "region")
    for pk in list(everything.values_list("pk", flat=True)):
        until = time.monotonic() + patience_seconds
        while True:
            mine = _claim(clock.now(), only=pk)
            if mine is not None:
                _work(mine, clock, Pass(), until=float("inf"), pages=sys.maxsize)
            mirror = everything.get(pk=pk)
            fresh = mirror.synced_at is not None and mirror.synced_at >= asked - LEASE
            if mirror.note or (fresh and not mirror.stage):
                break
            if time.monotonic() > until:
                mirror.note = "Another worker has been syncing this region for long."
                break
            time.sleep(0.2)
        yield mirror
    _beat(clock.now(), Pass())


def ask_now(*, clock: Clock, account: Account | None = None) -> int:
    """Make every region (of one account) due now and return how many. A sync that was begun goes on undisturbed."""
    mirrors = RegionMirror.objects.all() if account is None else RegionMirror.objects.filter(account=account)
    return mirrors.filter(stage="").update(due_at=clock.now())


def ensure_mirrors(*, clock: Clock) -> None:
    """Make sure that each region of each account has its row, and that no other region has one.

    When a region is taken out of its account, all that the mirror holds of it is marked as gone: it is not read any more.
    """
    wanted = {(account.pk, region) for account in Account.objects.all() for region in account.regions}
    present = {(row.account_id, row.region): row for row in RegionMirror.objects.select_related("account")}
    missing = [RegionMirror(account_id=pk, region=region) for pk, region in sorted(wanted - present.keys())]
    if missing:
        RegionMirror.objects.bulk_create(missing, ignore_conflicts=True)
    for key in sorted(present.keys() - wanted):
        leave_region(present[key], now=clock.now())


def interval(machines: int) -> timedelta:
    """Return the time from the end of a sync to the next: a minute for up to 1,000 machines, and in proportion for more."""
    return min(LONGEST_INTERVAL, INTERVAL * max(1.0, machines / MACHINES_AN_INTERVAL))


def _claim(now: datetime, only: int | None = None) -> RegionMirror | None:
    """Take the lease of the region that has been due for longest, and return its row."""
    with transaction.atomic():
        due = RegionMirror.objects.select_for_update(skip_locked=True, of=("self",)).select_related(
            "account__credential"
        )
        due = due.filter(Q(due_at=None) | Q(due_at__lte=now))
        if only is not None:
            due = due.filter(pk=only)
        mirror = due.order_by(F("due_at").asc(nulls_first=True), "pk").first()
        if mirror is None:
            return None
        mirror.lease += 1
        mirror.due_at = now + LEASE
        if not mirror.stage or mirror.started_at is None or mirror.started_at < now - STALE:
            mirror.stage, mirror.cursor, mirror.started_at = sync_stages.first(), "", now
        mirror.save(update_fields=["lease", "due_at", "stage", "cursor", "started_at"])
        return mirror


def _work(mirror: RegionMirror, clock: Clock, done: Pass, until: float, pages: int) -> None:
    """Read and write pages of one claimed region until it ends or fails, the budget is used up, or the lease is lost."""
    try:
        while mirror.stage:
            if done.pages >= pages or time.monotonic() >= until:
                _release(mirror, due_at=clock.now())
                return
            read_at = clock.now()
            client = client_for(mirror.account, mirror.region)
            page = sync_stages.STAGES[mirror.stage](client, mirror, read_at)
            done.pages += 1
            _write(mirror, page, clock)
        done.finished += 1
    except LeaseLost:
        logger.info("Overtaken in the sync of %s %s", mirror.account, mirror.region)
    except CloudError as error:
        done.failed += 1
        _give_up(mirror, error, clock.now())


def _write(mirror: RegionMirror, page: sync_stages.Page, clock: Clock) -> None:
    """Write a page and the cursor behind it, in one transaction."""
    with transaction.atomic():
        if not _leased(mirror).select_for_update(no_key=True).exists():
            raise LeaseLost
        page.write()
        now = clock.now()
        if page.cursor is not None:
            mirror.cursor = page.cursor
        else:
            mirror.stage, mirror.cursor = sync_stages.after(mirror.stage), ""
        if mirror.stage:
            _release(mirror, due_at=now + LEASE)
        else:
            # It is as fresh as its start: what changed after the first page may be missing.
            mirror.synced_at, mirror.note = mirror.started_at, ""
            _release(mirror, due_at=now + interval(mirror.instances))


def _give_up(mirror: RegionMirror, error: CloudError, now: datetime) -> None:
    mirror.note = f"{error.message or error.code} ({error.code})"[:500]
    if error.retryability is Retryability.WAIT:
        due_at = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    else:
        due_at = now + _PAUSES[error.retryability]
    if error.retryability is Retryability.REFUSED:
        # The cursor may be what was refused; in any other case a sync from the start costs little.
        mirror.stage, mirror.cursor = "", ""
    try:
        _release(mirror, due_at=due_at)
    except LeaseLost:
        return
    logger.warning("The sync of %s %s did not end: %s", mirror.account, mirror.region, error)


def _release(mirror: RegionMirror, *, due_at: datetime) -> None:
    mirror.due_at = due_at
    fields = ("stage", "cursor", "started_at", "synced_at", "instances", "note", "due_at")
    if not _leased(mirror).update(**{field: getattr(mirror, field) for field in fields}):
        raise LeaseLost


def _leased(mirror: RegionMirror) -> "models.QuerySet[RegionMirror]":
    return RegionMirror.objects.filter(pk=mirror.pk, lease=mirror.lease)


def _beat(now: datetime, done: Pass) -> None:
    note = f"{done.pages} pages, {done.finished} regions finished, {done.failed} failed"
    Heartbeat.objects.update_or_create(name="sync", defaults={"at": now, "note": note})
