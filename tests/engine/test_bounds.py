"""Nothing goes round for ever, nothing is cut short, and no machine that we stopped is forgotten."""

from datetime import UTC, datetime

import pytest

from fleet.engine import loop
from fleet.engine.results import State
from fleet.lib.clock import ManualClock
from fleet.models import Outcome, Replacement
from tests.engine.runs import RunningClock, outcomes, power, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
Policy = fleets.Policy
AT_ONCE = Policy(max_in_flight=10, failures_allowed=9)


def test_a_stop_that_never_counts_is_not_asked_for_for_ever(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    fleet.faults({"kind": "error", "code": "IncorrectInstanceStatus", "action": "ReplaceSystemDisk", "times": 0})
    change = run([machine], clock, policy=AT_ONCE)
    fleets.drive(clock, steps=300)

    row = rows(change).get()
    assert len(fleet.journal(action="ReplaceSystemDisk")) == 4
    assert row.state == State.HELD
    assert row.note.startswith("It was stopped 3 times")


def test_a_machine_that_somebody_starts_again_and_again_is_held(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    change = run([machine], clock, policy=AT_ONCE, snapshot_days=2)
    fleet.durations(snapshot=600)
    snapshots = Replacement.objects.filter(change=change, state=State.SNAPSHOTTING).exclude(snapshot_id="")

    def somebody_starts_it() -> bool:
        if snapshots.exists():
            fleet.patch_instance(machine.instance_id, Status="Running")
        return False

    fleets.drive(clock, until=somebody_starts_it, steps=200)

    assert rows(change).get().state == State.HELD
    assert len(fleet.journal(action="CreateSnapshot")) <= 4


def test_the_first_stop_after_an_outage_is_a_graceful_one(fleet: Emulator, clock: ManualClock) -> None:
    change = run(1, clock, policy=Policy(max_in_flight=2, failures_allowed=9, force_stop_minutes=5))
    fleet.faults({"kind": "error", "code": "Throttling.User", "action": "StopInstances", "times": 1})
    fleets.drive(clock, until=lambda: states(change)[State.STOPPING] == 1)
    fleet.durations(stop=20)
    clock.advance(600)  # no worker for ten minutes
    fleets.drive(clock, until=lambda: len(fleet.journal(action="StopInstances")) >= 2, steps=100)

    stops = [call["params"].get("ForceStop") for call in fleet.journal(action="StopInstances")]
    assert stops[:2] == [None, None]


def test_a_machine_that_stops_late_is_started_again(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    fleet.faults({"kind": "stuck", "action": "StopInstances", "instance": machine.instance_id, "times": 1})
    change = run([machine], clock, policy=AT_ONCE)
    fleets.drive(clock, until=lambda: states(change)[State.STOPPING] == 1)
    fleets.drive(clock, until=lambda: not states(change)[State.STOPPING], rarely=60)
    fleet.patch_instance(machine.instance_id, Status="Stopped")  # the guest is done at last
    fleets.drive(clock, rarely=60)

    assert outcomes(change) == {Outcome.FAILED_UNTOUCHED: 1}
    assert power(machine, fleet) == "Running"


def test_many_lost_calls_are_sent_again_though_each_is_read_alone(fleet: Emulator) -> None:
    clock = RunningClock(datetime.now(UTC))
    machines = fleets.plain(60)
    run(machines, clock, policy=Policy(max_in_flight=60, failures_allowed=59))
    fleet.faults({"action": "ReplaceSystemDisk", "kind": "drop", "times": 60})
    fleets.drive(clock, until=lambda: Replacement.objects.filter(first_sent_at__isnull=False, claims=0).count() == 60)
    assert len(fleet.journal(action="ReplaceSystemDisk")) == 60
    fleet.faults({"action": "DescribeDisks", "kind": "delay", "seconds": 0.2, "times": 0})
    clock.advance(20)

    loop.step(clock)

    assert len(fleet.journal(action="ReplaceSystemDisk")) > 60


def test_one_machine_for_whose_sake_a_call_is_refused_does_not_fail_the_others(
    fleet: Emulator, clock: ManualClock
) -> None:
    machines = fleets.plain(9)
    refused = {"kind": "error", "code": "InvalidInstanceId.NotFound", "action": "StopInstances", "times": 0}
    fleet.faults(refused | {"instance": machines[4].instance_id})
    change = run(machines, clock, policy=AT_ONCE)
    fleets.drive(clock, rarely=60)

    assert outcomes(change) == {Outcome.SUCCEEDED: 8, Outcome.FAILED_UNTOUCHED: 1}
    assert len(fleet.journal(action="StopInstances")) <= 10
