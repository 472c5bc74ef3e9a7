"""The worker is killed between stop and start: after a restart the change ends, with one new disk a machine."""

import os
import signal
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from fleet.lib.clock import DatabaseClock
from fleet.management.processes.child import wait_for
from fleet.models import Change, ChangeState, Outcome, Replacement, ReplacementState
from tests.management.worker.test_worker import worker
from tests.support import fleets
from tests.support.databases import CommittedDatabase
from tests.support.emulator import Emulator

pytestmark = pytest.mark.process

BETWEEN = [ReplacementState.REPLACING, ReplacementState.RESTORING, ReplacementState.STARTING]


def kill_all(pid: int) -> None:
    """Kill a process and everything that it started, at once and without a word."""
    process = psutil.Process(pid)
    for each in [process, *process.children(recursive=True)]:
        os.kill(each.pid, signal.SIGKILL)


@pytest.mark.parametrize("command", [("worker",), ("runner",)], ids=["worker", "runner"])
def test_a_killed_worker_is_taken_over_and_no_disk_is_replaced_twice(
    committed_db: CommittedDatabase,
    emulator_on_the_wire: Emulator,
    var: Path,
    command: tuple[str, ...],
) -> None:
    fleets.mirror(emulator_on_the_wire)
    emulator_on_the_wire.durations(stop=1, replace=2, start=1)
    machines = fleets.plain(5)
    image = fleets.image_named("Ubuntu 24.04")
    change = fleets.started(machines, image, DatabaseClock())
    rows = Replacement.objects.filter(change=change)

    with worker(folder=var, command=command) as first:
        assert wait_for(what=lambda: rows.filter(state__in=BETWEEN).count() >= 3, seconds=40), (
            var / "worker.log"
        ).read_text()
        kill_all(first)
    assert rows.exclude(state=ReplacementState.DONE).exists(), "it was killed too late to prove anything"
    # A minute later: nobody gave back what the killed one had claimed, and its leases are over.
    now = DatabaseClock().now()
    rows.filter(leased_until__isnull=False).update(leased_until=now, due_at=now)
    with worker(folder=var, command=command):
        finished = Change.objects.filter(pk=change.pk, state=ChangeState.FINISHED)
        assert wait_for(what=finished.exists, seconds=150, every=0.2), list(rows.values_list("state", "note"))

    assert set(rows.values_list("outcome", flat=True)) <= {Outcome.SUCCEEDED, Outcome.ADOPTED}
    disks = [disk for disk in emulator_on_the_wire.ledger()["disks"] if disk["how"] == "ReplaceSystemDisk"]
    assert sorted(disk["instance_id"] for disk in disks) == sorted(machine.instance_id for machine in machines)
    assert {(disk["size"], disk["image_id"]) for disk in disks} == {(60, image.image_id)}
