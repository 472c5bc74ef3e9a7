"""`manage.py worker`: a cluster that stops getting on is replaced whole, and none outlives its watchdog."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from django.conf import settings
from django.db import connection
from django_q.models import Schedule

from fleet.management.processes.child import wait_for
from fleet.management.processes.guardian import tied_to_parent
from fleet.management.worker.watchdog import SCHEDULES, ensure_schedules
from fleet.models import Heartbeat
from tests.support.databases import CommittedDatabase
from tests.support.leftovers import wait_until_gone

pytestmark = pytest.mark.process
STALE = "6"


@contextmanager
def worker(*, folder: Path, command: tuple[str, ...] = ("worker", "--stale", STALE)) -> Iterator[int]:
    """Start the command on the test's database; yield its process id; kill it if it still runs at the end."""
    secrets = {"FLEET_SECRET_KEY": settings.SECRET_KEY, "FLEET_SEAL_KEYS": " ".join(settings.SEAL_KEYS)}
    with (
        (folder / "worker.log").open("ab") as log,
        subprocess.Popen(
            [sys.executable, "manage.py", *command],
            cwd=settings.ROOT,
            env=os.environ | secrets | {"FLEET_VAR": str(folder)},
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=tied_to_parent(stop_with=signal.SIGKILL),  # also when these tests are killed themselves
        ) as process,
    ):
        try:
            yield process.pid
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def beat() -> datetime | None:
    return Heartbeat.objects.filter(name="tick").values_list("at", flat=True).first()


def wait_for_another_beat(*, seconds: float, log: Path) -> None:
    before = beat()
    assert wait_for(what=lambda: beat() != before, seconds=seconds, every=0.1), log.read_text()


def cluster_of(watchdog: int) -> psutil.Process:
    """Return the main process of the cluster that the watchdog runs."""
    (found,) = [each for each in psutil.Process(watchdog).children() if "qcluster" in each.cmdline()]
    return found


def runs(process: psutil.Process) -> bool:
    """Say whether the process runs; one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_wedged_cluster_is_replaced_whole(committed_db: CommittedDatabase, var: Path) -> None:
    with worker(folder=var) as watchdog:
        wait_for_another_beat(seconds=20, log=var / "worker.log")
        wedged = cluster_of(watchdog)
        members = [wedged, *wedged.children(recursive=True)]
        assert len(members) >= 6  # main, sentinel, two workers, monitor, pusher
        os.killpg(wedged.pid, signal.SIGSTOP)

        wait_for_another_beat(seconds=30, log=var / "worker.log")

        assert not any(runs(each) for each in members)
        assert cluster_of(watchdog).pid != wedged.pid
        os.kill(watchdog, signal.SIGTERM)
        assert wait_until_gone(folder=var, seconds=12) == []
    # Which of its two signs of life is missed first is a matter of when it was stopped.
    stuck = r"The task cluster is stuck \(no (tick was executed|task was acknowledged) for"
    assert re.search(stuck, (var / "worker.log").read_text())


def test_a_cluster_whose_main_process_ended_leaves_no_unguarded_children(
    committed_db: CommittedDatabase, var: Path
) -> None:
    with worker(folder=var) as watchdog:
        wait_for_another_beat(seconds=20, log=var / "worker.log")
        old = cluster_of(watchdog)
        (sentinel,) = [each for each in old.children() if each.children()]
        orphans = sentinel.children()
        assert len(orphans) >= 4
        sentinel.kill()  # the main process ends with code 0, and these would go on without it

        # They may run one more tick before the watchdog sees that they are alone.
        assert wait_for(what=lambda: not any(runs(each) for each in orphans), seconds=20)
        wait_for_another_beat(seconds=20, log=var / "worker.log")
        assert cluster_of(watchdog).pid != old.pid


def test_the_cluster_ends_with_its_watchdog(committed_db: CommittedDatabase, var: Path) -> None:
    with worker(folder=var) as watchdog:
        wait_for_another_beat(seconds=20, log=var / "worker.log")

        os.kill(watchdog, signal.SIGKILL)

        assert wait_until_gone(folder=var, seconds=12) == []


def test_runner_does_the_same_work_and_stops_when_asked(committed_db: CommittedDatabase, var: Path) -> None:
    with worker(folder=var, command=("runner",)) as runner:
        wait_for_another_beat(seconds=20, log=var / "worker.log")

        begin = time.monotonic()
        os.kill(runner, signal.SIGTERM)

        assert wait_until_gone(folder=var, seconds=10) == []
        assert time.monotonic() - begin < 10


def test_runner_outlives_its_connection_to_the_database(committed_db: CommittedDatabase, var: Path) -> None:
    with worker(folder=var, command=("runner",)) as runner:
        for _ in range(2):
            wait_for_another_beat(seconds=20, log=var / "worker.log")
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
        wait_for_another_beat(seconds=20, log=var / "worker.log")

        os.kill(runner, signal.SIGTERM)
        assert wait_until_gone(folder=var, seconds=10) == []


def test_workers_that_start_together_make_each_schedule_once(committed_db: CommittedDatabase) -> None:
    def start() -> None:
        try:
            ensure_schedules()
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert dict(Schedule.objects.values_list("name", "func")) == SCHEDULES
    assert Schedule.objects.count() == len(SCHEDULES)


def test_a_schedule_that_was_changed_or_doubled_is_put_right(committed_db: CommittedDatabase) -> None:
    ensure_schedules()
    kept = Schedule.objects.get(name="tick")
    Schedule.objects.filter(pk=kept.pk).update(func="os.getcwd", minutes=9)
    Schedule.objects.create(name="tick", func="os.getcwd", schedule_type=Schedule.HOURLY)

    ensure_schedules()

    mended = Schedule.objects.get(name="tick")
    assert (mended.pk, mended.func, mended.minutes, mended.next_run) == (
        kept.pk,
        SCHEDULES["tick"],
        1,
        kept.next_run,
    )
