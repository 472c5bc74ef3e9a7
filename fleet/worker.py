"""The entry points of the worker, called by django-q2 or by `manage.py runner`.

A task of django-q2 is only a doorbell: what is due is read from the database. A ring that is lost, late or doubled changes
nothing, and a ring holds nothing but names and ids.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from fleet.changes.checking import check_due
from fleet.changes.review.deciding import expire_approvals
from fleet.changes.running.scheduling import start_due
from fleet.engine import loop
from fleet.engine.restored_database import recognise
from fleet.inventory.sync import sync_due
from fleet.lib.clock import Clock, DatabaseClock
from fleet.models import Change, ChangeState, Heartbeat
from fleet.notices import composing, delivering

TICK_SECONDS: float = settings.TICK_SECONDS
DELIVER_SECONDS = 15.0  # and at most one message more
BEAT_SECONDS = 2.0
TICKS_AT_ONCE = 2  # on all machines together, so that one worker is always left for the mirror
SLOT = 4_710_000  # the first number of our advisory locks


def tick() -> None:
    """Work for half a minute at most, and ring again while there is work."""
    with _slot() as free:
        if not free:
            return
        work(TICK_SECONDS)
        # A ring that no worker has taken yet is enough.
        if has_work() and not OrmQ.objects.filter(lock__lte=timezone.now()).exists():
            async_task("fleet.worker.tick")


def sync() -> None:
    """Bring the mirror up to date, at most a bounded number of pages."""
    sync_due(clock=DatabaseClock(), budget_seconds=TICK_SECONDS)


def deliver(*, clock: Clock | None = None) -> None:
    """Write messages about what happened, and send those that are due. Failed ones are tried again at a later call."""
    clock = clock or DatabaseClock()
    end = time.monotonic() + DELIVER_SECONDS
    while composing.announce(clock.now()):
        pass
    delivering.send_due(clock, stop=lambda: time.monotonic() > end)
    composing.forget(clock.now())


def work(budget: float, *, clock: Clock | None = None, stop: Callable[[], bool] = lambda: False) -> int:
    """Do what is due, for at most `budget` seconds, and return how many machines were looked at."""
    clock = clock or DatabaseClock()
    beat("tick", clock)
    recognise(clock.now())
    expire_approvals(clock.now())
    start_due(clock.now())
    begun_at = beaten_at = time.monotonic()

    def stop_or_beat() -> bool:
        # Called between two steps, so that a long tick that makes progress does not look stuck.
        nonlocal beaten_at
        if time.monotonic() - beaten_at > BEAT_SECONDS:
            beat("tick", clock)
            beaten_at = time.monotonic()
        return stop()

    def half_is_over() -> bool:
        # Checks take at most half of a tick: machines that are stopped for a replacement must not wait for them.
        return stop_or_beat() or time.monotonic() - begun_at > budget / 2

    while check_due(clock, stop=half_is_over) and not half_is_over():
        pass
    return loop.run(clock, budget - (time.monotonic() - begun_at), stop=stop_or_beat)


def has_work() -> bool:
    """Say whether anything will become due without a person doing anything."""
    checking = Change.objects.filter(state=ChangeState.CHECKING).exists()
    return checking or loop.next_due_in(DatabaseClock()) is not None


def beat(name: str, clock: Clock) -> None:
    """Record that this part of the worker is alive."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": clock.now()})


@contextmanager
def _slot() -> Iterator[bool]:
    """Take one of the slots for ticks, if one is free. PostgreSQL frees it when this process dies."""
    with connection.cursor() as cursor:
        for number in range(SLOT, SLOT + TICKS_AT_ONCE):
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
            if cursor.fetchone()[0]:
                break
        else:
            yield False
            return
    try:
        yield True
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [number])
