"""The watchdog of the task cluster: it runs django-q2's `qcluster` as one process group, and replaces it as a whole.

A single killed process can wedge a cluster silently while all others look alive, and a cluster's main
process can end with code 0 and leave its children working. So the watchdog asks the database whether there is progress,
and kills the whole group where there is none: the rows say what is to be done, and a step that was cut short is resumed.
"""

import logging
import os
import signal
import sys
import time

from django.conf import settings
from django.db import Error, close_old_connections, connection, transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from fleet.management.processes.child import Process, spawn
from fleet.management.processes.guardian import Guardian
from fleet.management.processes.stop_signal import Stop
from fleet.management.worker.liveness import Liveness, QueueSnapshot
from fleet.models import Heartbeat

log = logging.getLogger(__name__)

TICK = "fleet.worker.tick"
SCHEDULES = {"tick": TICK, "sync": "fleet.worker.sync", "deliver": "fleet.worker.deliver"}
EVERY = 2.0  # seconds between two snapshots of the queue
MOST_ROWS = 1000  # of the queue in a snapshot, the oldest: where they go away there is progress
GRACE = 10.0  # seconds a cluster has to finish what it does
LONGEST_PAUSE = 30.0  # seconds between two starts of a cluster that keeps ending
SCHEDULE_LOCK = 7_305_011  # key of the advisory lock under which schedules are made


class Watchdog:
    """Keeps one cluster running, and alive, until somebody asks it to stop."""

    def __init__(self, *, stale: float, stop: Stop) -> None:
        self._stop = stop
        self._liveness = Liveness(stale=stale)
        self._guardian = Guardian()
        self._cluster: Process | None = None
        self._pause = 0.0
        self._scheduled = False

    def run(self) -> None:
        """Run until asked to stop; then let the cluster finish its tasks, for `GRACE` seconds."""
        try:
            while not self._stop.asked:
                self._guardian.restart_if_gone()
                self._keep_running()
                self._look()
                self._stop.wait(seconds=EVERY)
        finally:
            if self._cluster:
                self._cluster.stop()
            self._guardian.close()

    def _keep_running(self) -> None:
        if self._cluster and self._cluster.exit_code is not None:
            # Its children may live on: the main process ends with code 0 when the sentinel is killed.
            log.warning("The task cluster ended (code %s); starting another.", self._cluster.exit_code)
            self._replace()
        if self._cluster is None:
            self._cluster = _start_cluster(self._guardian)
            self._liveness.begin(now=time.monotonic())

    def _look(self) -> None:
        now = time.monotonic()
        try:
            close_old_connections()
            if not self._scheduled:
                ensure_schedules()
                self._scheduled = True
            snapshot = _queue_snapshot()
            fault = self._liveness.fault(snapshot=snapshot, now=now)
            if not fault and self._liveness.wants_tick(snapshot=snapshot, now=now):
                self._liveness.note_queued(task=_queue_tick())
        except Error as error:
            # The database is away or full: not the cluster's fault, and killing it would not help.
            log.warning("The database does not answer (%s); the watchdog waits.", type(error).__name__)
            connection.close()
            self._liveness.begin(now=time.monotonic())
            return
        if fault:
            log.error("The task cluster is stuck (%s); killing and replacing it.", fault)
            self._replace()
        elif self._liveness.proven:
            self._pause = 0.0

    def _replace(self) -> None:
        assert self._cluster
        self._cluster.kill()
        self._cluster = None
        self._stop.wait(seconds=self._pause)
        self._pause = min(LONGEST_PAUSE, max(1.0, self._pause * 2))


def _start_cluster(guardian: Guardian) -> Process:
    return spawn(
        name="cluster",
        command=[sys.executable, settings.ROOT / "manage.py", "qcluster"],
        guardian=guardian,
        log=None,
        environment=dict(os.environ),
        folder=settings.ROOT,
        stop_with=signal.SIGTERM,  # to the main process only: the others do not survive it
        grace=GRACE,
    )


def ensure_schedules() -> None:
    """Make the schedules, once even if several workers start together, and bring older ones up to date."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SCHEDULE_LOCK])
        for name, func in SCHEDULES.items():
            wanted = {"func": func, "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1}
            known = Schedule.objects.filter(name=name).order_by("pk").first()
            if known is None:
                Schedule.objects.create(name=name, **wanted)
                continue
            Schedule.objects.filter(pk=known.pk).update(**wanted)
            Schedule.objects.filter(name=name).exclude(pk=known.pk).delete()


def _queue_tick() -> int:
    """Queue a tick and return its row; a row that another process queued at the same moment is as good a sign."""
    with transaction.atomic():
        async_task(TICK)
        return int(OrmQ.objects.order_by("-pk").values_list("pk", flat=True)[0])


def _queue_snapshot() -> QueueSnapshot:
    rows = list(OrmQ.objects.order_by("pk")[:MOST_ROWS])
    now = timezone.now()  # the clock that django-q2 locks with
    return QueueSnapshot(
        beat=Heartbeat.objects.filter(name="tick").values_list("at", flat=True).first(),
        queued=frozenset(row.pk for row in rows),
        tick_waits=any(row.lock <= now and row.func() == TICK for row in rows),
    )
