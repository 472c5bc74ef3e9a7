"""Keeping the mirror fresh: resumable, region by region, never two at once for one.

The row of a region says at which stage and cursor its sync goes on. A page is written together with the
cursor behind it, in one transaction guarded by the lease: whoever was overtaken writes nothing. A process
that dies loses at most the page it was reading.
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

LEASE = timedelta(
    seconds=60
)  # longer than the slowest page: twenty calls about images, at 10 s each, are the exception
INTERVAL = timedelta(seconds=60)
LONGEST_INTERVAL = timedelta(minutes=30)
MACHINES_AN_INTERVAL = 1000
STALE = timedelta(hours=2)  # a sync under way for longer begins again: its first pages are no news any more
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


class Overtaken(Exception):
    """Another worker holds the region's lease by now."""


def sync_due(*, clock: Clock, budget_seconds: float, pages: int = 200) -> Pass:
    """Go on with the syncs that are due until there is none, `pages` are read or the seconds are over.

    A page under way is finished: the budget can be overrun by one page's calls. Safe to call from anywhere,
    at any time, at once.
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
    """Sync every region now and yield each as it ends; one that did not get fresh is yielded with its `note`.

    A region that another worker is syncing at this moment is waited for, at most `patience_seconds`.
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
    """Make every region (of one account) due now and return how many; one under way goes on undisturbed."""
    mirrors = RegionMirror.objects.all() if account is None else RegionMirror.objects.filter(account=account)
    return mirrors.filter(stage="").update(due_at=clock.now())


def ensure_mirrors(*, clock: Clock) -> None:
    """See to it that each region of each account has its row, and no other region has one.

    What the mirror holds of a region that was taken out of its account is marked as gone: nobody looks after it any more.
    """
    wanted = {(account.pk, region) for account in Account.objects.all() for region in account.regions}
    present = {(row.account_id, row.region): row for row in RegionMirror.objects.select_related("account")}
    missing = [RegionMirror(account_id=pk, region=region) for pk, region in sorted(wanted - present.keys())]
    if missing:
        RegionMirror.objects.bulk_create(missing, ignore_conflicts=True)
    for key in sorted(present.keys() - wanted):
        leave_region(present[key], now=clock.now())


def interval(machines: int) -> timedelta:
    """Return the time from one sync's end to the next's start: a minute up to 1,000 machines, then with
    their number.
    """
    return min(LONGEST_INTERVAL, INTERVAL * max(1.0, machines / MACHINES_AN_INTERVAL))


def _claim(now: datetime, only: int | None = None) -> RegionMirror | None:
    """Take the region that has been due for longest, with the next lease, and return it."""
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
    """Read and write pages of one claimed region until its end, an error, the budget's end, or somebody
    else's lease.
    """
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
    except Overtaken:
        logger.info("Overtaken in the sync of %s %s", mirror.account, mirror.region)
    except CloudError as error:
        done.failed += 1
        _give_up(mirror, error, clock.now())


def _write(mirror: RegionMirror, page: sync_stages.Page, clock: Clock) -> None:
    """Write a page and the cursor behind it, in one transaction."""
    with transaction.atomic():
        if not _held(mirror).select_for_update(no_key=True).exists():
            raise Overtaken
        page.write()
        now = clock.now()
        if page.cursor is not None:
            mirror.cursor = page.cursor
        else:
            mirror.stage, mirror.cursor = sync_stages.after(mirror.stage), ""
        if mirror.stage:
            _release(mirror, due_at=now + LEASE)
        else:
            # Fresh as of its start: what changed after the first page may not be in it.
            mirror.synced_at, mirror.note = mirror.started_at, ""
            _release(mirror, due_at=now + interval(mirror.instances))


def _give_up(mirror: RegionMirror, error: CloudError, now: datetime) -> None:
    mirror.note = f"{error.message or error.code} ({error.code})"[:500]
    if error.retryability is Retryability.WAIT:
        due_at = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    else:
        due_at = now + _PAUSES[error.retryability]
    if error.retryability is Retryability.REFUSED:
        # A cursor may be what was refused; whatever else it is, a sync from the start costs little.
        mirror.stage, mirror.cursor = "", ""
    try:
        _release(mirror, due_at=due_at)
    except Overtaken:
        return
    logger.warning("The sync of %s %s did not end: %s", mirror.account, mirror.region, error)


def _release(mirror: RegionMirror, *, due_at: datetime) -> None:
    mirror.due_at = due_at
    fields = ("stage", "cursor", "started_at", "synced_at", "instances", "note", "due_at")
    if not _held(mirror).update(**{field: getattr(mirror, field) for field in fields}):
        raise Overtaken


def _held(mirror: RegionMirror) -> "models.QuerySet[RegionMirror]":
    return RegionMirror.objects.filter(pk=mirror.pk, lease=mirror.lease)


def _beat(now: datetime, done: Pass) -> None:
    note = f"{done.pages} pages, {done.finished} regions finished, {done.failed} failed"
    Heartbeat.objects.update_or_create(name="sync", defaults={"at": now, "note": note})
