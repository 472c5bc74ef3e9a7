"""Every process of the task queue is killed under load: work goes on within a minute, and nothing is lost or done twice."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil  # type: ignore[import-untyped]
import pytest
from django_q.models import OrmQ
from django_q.tasks import async_task

from fleet.changes.running.controls import start
from fleet.guards.policy import Policy
from fleet.lib.clock import DatabaseClock
from fleet.management.processes.child import wait_for
from fleet.models import Change, ChangeState, Heartbeat, Instance, Outcome, Replacement
from tests.management.worker.test_worker import cluster_of, worker
from tests.support import fleets, torture
from tests.support.databases import CommittedDatabase
from tests.support.emulator import Emulator

pytestmark = [pytest.mark.process, pytest.mark.slow]

KINDS = ("main", "sentinel", "pusher", "monitor", "idle worker", "busy worker")
WITHIN = 60.0
WORKERS = 3
STARTING = 30.0
STALE = "8"
LOAD = 12  # machines of a change


@dataclass
class Cluster:
    """The processes of a cluster by what they are: known from the order in which a sentinel starts them."""

    watchdog: int
    main: int = 0
    roles: dict[int, str] = field(default_factory=dict)

    def learn(self) -> bool:
        """Look again; say whether the cluster is whole. What a sentinel started anew has the role of what is gone."""
        try:
            main = cluster_of(self.watchdog)
            sentinels = [child for child in main.children() if child.children()]
            if len(sentinels) != 1:
                return False
            children = sorted(sentinels[0].children(), key=lambda child: (child.create_time(), child.pid))
        except (psutil.NoSuchProcess, ValueError):
            return False
        alive = [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE]
        if len(alive) != WORKERS + 2:
            return False
        if main.pid != self.main:
            self.main = main.pid
            self.roles = dict(zip(alive, ["worker"] * WORKERS + ["monitor", "pusher"], strict=True))
            self.roles[sentinels[0].pid] = "sentinel"
            return True
        gone = [role for pid, role in self.roles.items() if pid not in alive and role != "sentinel"]
        new = [pid for pid in alive if pid not in self.roles]
        self.roles = {pid: role for pid, role in self.roles.items() if pid in alive or role == "sentinel"}
        self.roles |= dict(zip(new, gone, strict=True))
        return True

    def of(self, kind: str) -> int:
        """Return the process id of this kind; of the workers the one that works most, or least, at this moment."""
        if kind == "main":
            return self.main
        if not kind.endswith("worker"):
            return next(int(pid) for pid, role in self.roles.items() if role == kind)
        workers = [psutil.Process(pid) for pid, role in self.roles.items() if role == "worker"]
        before = {each.pid: sum(each.cpu_times()[:2]) for each in workers}
        wait_for(what=lambda: False, seconds=0.5)
        used = {each.pid: sum(each.cpu_times()[:2]) - before[each.pid] for each in workers}
        by_work = sorted(used, key=used.__getitem__)
        return int(by_work[-1] if kind.startswith("busy") else by_work[0])


def test_work_goes_on_whatever_process_of_the_queue_is_killed(
    committed_db: CommittedDatabase,
    emulator_on_the_wire: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report: Callable[[str], None],
) -> None:
    rounds = torture.rounds(2)
    kinds = list(KINDS) * rounds
    Random(torture.seed()).shuffle(kinds)
    # Short ticks, so that a short time without an acknowledged one means something.
    monkeypatch.setenv("FLEET_TICK_SECONDS", "2")
    emulator_on_the_wire.reset(
        instances=100 + 2 * LOAD * rounds, regions=["cn-shanghai"], plain=True
    )  # about half of them fit
    fleets.mirror(emulator_on_the_wire)
    free = fleets.plain(LOAD * rounds, region="cn-shanghai")
    emulator_on_the_wire.durations(stop=1, replace=2, start=1)
    # Approved before there is a worker, which would check them at the same time as the test does.
    changes = [_approved(free[LOAD * number :][:LOAD]) for number in range(rounds)]
    longest: dict[str, float] = {}
    with worker(folder=tmp_path, command=("worker", "--stale", STALE)) as watchdog:
        cluster, clock = Cluster(watchdog), DatabaseClock()
        for number, kind in enumerate(kinds):
            if number % len(KINDS) == 0:
                # Keeps a worker busy for a while.
                start(actor=fleets.person("operator"), change_id=changes[number // len(KINDS)].pk, now=clock.now())
            assert wait_for(what=cluster.learn, seconds=STARTING, every=0.2), _log(tmp_path)
            os.kill(cluster.of(kind), signal.SIGKILL)
            taken = _going_again(tmp_path, kind)
            longest[kind] = max(taken, longest.get(kind, 0.0))
        for change in changes:
            done = Change.objects.filter(pk=change.pk, state=ChangeState.FINISHED)
            assert wait_for(what=done.exists, seconds=180, every=0.3), _log(tmp_path)
    rows = Replacement.objects.filter(change__in=changes)
    assert set(rows.values_list("outcome", flat=True)) <= {Outcome.SUCCEEDED, Outcome.ADOPTED}
    made = [
        disk["instance_id"] for disk in emulator_on_the_wire.ledger()["disks"] if disk["how"] == "ReplaceSystemDisk"
    ]
    assert sorted(made) == sorted(rows.values_list("instance__instance_id", flat=True))
    said = ", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in longest.items())
    report(f"queue: going again after the kill of {said} (longest of {len(kinds)} kills)")


def _approved(machines: list[Instance]) -> Change:
    policy = Policy(max_in_flight=4, failures_allowed=0)
    image = fleets.image_named("Ubuntu 24.04", region="cn-shanghai")
    return fleets.approved(machines, image, DatabaseClock(), policy=policy)


def _going_again(folder: Path, kind: str) -> float:
    """Return the seconds until a tick was executed, and a task acknowledged, that were not before the kill."""
    clock = DatabaseClock()
    killed_at = clock.now()
    rung: list[int] = []

    def again() -> bool:
        # One that was on its way through what was killed comes again after minutes; another one is as good a sign.
        async_task("fleet.worker.tick")
        rung.append(OrmQ.objects.order_by("-pk").values_list("pk", flat=True)[0])
        acknowledged = OrmQ.objects.filter(pk__in=rung).count() < len(set(rung))
        return acknowledged and Heartbeat.objects.filter(name="tick", at__gt=killed_at).exists()

    assert wait_for(what=again, seconds=WITHIN, every=0.5), f"after the kill of the {kind}: {_log(folder)}"
    return (clock.now() - killed_at).total_seconds()


def _log(folder: Path) -> str:
    return (folder / "worker.log").read_text()[-4000:]
