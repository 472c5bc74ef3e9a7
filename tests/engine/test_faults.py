"""Every refusal and every fault has its answer: what becomes of the machine, and what the operator reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.changes.running.causes import cause_of, clusters
from fleet.engine.results import State
from fleet.lib.clock import ManualClock
from fleet.models import AuditEvent, ChangeState, Instance, Outcome, Replacement
from tests.engine.runs import made, outcomes, power, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
DATA = Path(__file__).parents[2] / "fleet" / "emulator" / "data"
POLICY = fleets.Policy(max_in_flight=100, failures_allowed=99)

# By what the cloud says of the one call that was sent.
WAITS = {
    "Throttling",
    "Throttling.User",
    "Throttling.Api",
    "IdempotentProcessing",
    "LastTokenProcessing",
    "InvalidOperation.Conflict",
    "OperationConflict",
    "InstanceNotReady",
    "InternalError",
    "ServiceUnavailable",
    "ServiceUnavailable.RegionMaintaining",
    "LimitedOperation.ServiceUnavailable",
    "OperationDenied.500",
    "DiskCreatingSnapshot",
    "IncorrectDiskStatus.CreatingSnapshot",
    "IncorrectInstanceStatus",
}
HOLDS = {"IdempotentParameterMismatch", "IdempotenceParamNotMatch", "InvalidIdempotenceParameter.Mismatch"}


def codes() -> list[str]:
    """Return every code that the emulator knows of ReplaceSystemDisk, both editions, and the common ones."""
    known: set[str] = set()
    for edition in ("2018", "2026"):
        errors = json.loads((DATA / f"edition_{edition}.json").read_text())["errors"]
        known |= {code for code, _, _ in errors.values()}
    known |= {"OperationDenied.400", "OperationDenied.500"}
    return sorted((known | WAITS | HOLDS | {"Forbidden.RAM", "SomethingNew"}) - {"OperationDenied"})


def test_each_code_of_the_irreversible_call_has_its_answer(fleet: Emulator, clock: ManualClock) -> None:
    tried = codes()
    assert len(tried) > 40
    machines = fleets.plain(len(tried))
    fault_of: dict[str, dict[str, Any]] = {}
    for code, machine in zip(tried, machines, strict=True):
        fault_of[code] = {
            "kind": "error",
            "code": code,
            "action": "ReplaceSystemDisk",
            "instance": machine.instance_id,
            "times": 2 if code in WAITS else 0,
        }
    fleet.faults(*fault_of.values())
    change = run(machines, clock, policy=POLICY)
    fleets.drive(clock, rarely=60)

    disks = {disk["instance_id"]: disk for disk in made(fleet)}
    for code, row in zip(tried, rows(change), strict=True):
        machine = row.instance
        if code in WAITS:
            assert (code, row.outcome) in ((code, Outcome.SUCCEEDED), (code, Outcome.ADOPTED)), row.note
            assert machine.instance_id in disks
            continue
        assert machine.instance_id not in disks, code
        cause = cause_of(row.error_code, row.state, row.outcome, past_the_line=row.first_sent_at is not None)
        assert cause.words, code
        assert cause.next_act.endswith("."), code
        if code in HOLDS:
            assert (code, row.state, row.held_from) == (code, State.HELD, State.REPLACING)
            assert "look_again" in cause.acts or cause.acts
        else:
            assert (code, row.outcome, row.first_sent_at) == (code, Outcome.FAILED_UNTOUCHED, None)
            assert "The cloud refused" in row.note
            assert power(machine, fleet) == "Running", code
    assert sum(cluster.machines for cluster in clusters(change)) == len(tried) - len(WAITS)
    answered = AuditEvent.objects.filter(change=change, action__in=["instance.call_refused", "instance.answer_lost"])
    assert answered.values("instance_id").distinct().count() == len(tried)


@pytest.mark.parametrize("action", ["DescribeInstances", "DescribeDisks", "StopInstances", "StartInstances"])
@pytest.mark.parametrize("kind", ["error", "drop", "commit_then_drop", "delay"])
def test_a_fault_on_the_way_costs_time_and_nothing_else(
    fleet: Emulator, clock: ManualClock, action: str, kind: str
) -> None:
    change = run(2, clock, policy=POLICY)
    fault = {"kind": kind, "action": action, "times": 2, "nth": 2 if action.startswith("Describe") else 1}
    fault |= {"code": "InternalError"} if kind == "error" else {"seconds": 0.2} if kind == "delay" else {}
    fleet.faults(fault)
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 2}
    assert len(made(fleet)) == 2


def test_a_throttling_storm_is_sat_out(fleet: Emulator, clock: ManualClock) -> None:
    change = run(4, clock, policy=POLICY)
    fleet.faults({"kind": "error", "code": "Throttling.User", "times": 12})
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 4}
    assert len(made(fleet)) == 4


@pytest.mark.parametrize("code", ["InstanceLockedForSecurity", "Forbidden.RAM", "InstanceExpiredOrInArrears"])
def test_a_machine_that_may_not_be_stopped_is_left_as_it_is(fleet: Emulator, clock: ManualClock, code: str) -> None:
    machine, other = fleets.plain(2)
    fleet.faults(
        {"kind": "error", "code": code, "action": "StopInstances", "instance": machine.instance_id, "times": 0}
    )
    change = run([machine, other], clock, policy=POLICY)
    fleets.drive(clock)
    row = change.replacements.get(instance=machine)
    assert (row.outcome, row.error_code, power(machine, fleet)) == (Outcome.FAILED_UNTOUCHED, code, "Running")
    assert change.replacements.get(instance=other).outcome == Outcome.SUCCEEDED


def test_a_machine_that_never_stops_is_forced_only_where_the_policy_says_so(
    fleet: Emulator, clock: ManualClock
) -> None:
    policy = fleets.Policy(max_in_flight=2, failures_allowed=9, force_stop_minutes=5)
    machine = fleets.plain(1)[0]
    fleet.faults({"kind": "stuck", "action": "StopInstances", "instance": machine.instance_id, "times": 1})
    change = run([machine], clock, policy=policy)
    started = clock.now()
    fleets.drive(clock, until=lambda: Replacement.objects.filter(forced=True).exists(), rarely=60)
    assert 300 <= (clock.now() - started).total_seconds() < 330
    fleet.patch_instance(machine.instance_id, Status="Stopped")
    fleets.drive(clock)

    assert outcomes(change) == {Outcome.SUCCEEDED: 1}
    stops = [call["params"].get("ForceStop") for call in fleet.journal(action="StopInstances")]
    assert stops == [None, "True"]
    assert AuditEvent.objects.filter(change=change, action="instance.stop_forced").count() == 1


def test_a_machine_that_never_stops_fails_where_it_may_not_be_forced(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    fleet.faults({"kind": "stuck", "action": "StopInstances", "instance": machine.instance_id, "times": 0})
    change = run([machine], clock, policy=POLICY)
    fleets.drive(clock, rarely=60)
    row = rows(change).get()
    assert (row.outcome, row.error_code, made(fleet)) == (Outcome.FAILED_UNTOUCHED, "IncorrectInstanceStatus", [])
    assert "did not stop in time" in row.note


def test_a_start_that_finds_no_stock_is_held_with_its_cause(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    change = run([machine], clock, policy=POLICY)
    code = "OperationDenied.NoStock"
    fleet.faults(
        {"kind": "error", "code": code, "action": "StartInstances", "instance": machine.instance_id, "times": 0}
    )
    fleets.drive(clock)
    row = rows(change).get()
    assert (row.state, row.held_from, row.error_code) == (State.HELD, State.STARTING, code)
    (cluster,) = clusters(change)
    assert cluster.cause.words == "No capacity in the zone to start again"


def gone(machine: Instance) -> None:
    """Let the cloud show nothing for a machine, as after somebody released it."""
    Instance.objects.filter(pk=machine.pk).update(instance_id=f"i-released{machine.pk}")


def test_a_machine_that_somebody_deletes_is_told_as_it_is(fleet: Emulator, clock: ManualClock) -> None:
    early, late = fleets.plain(2)
    policy = fleets.Policy(max_in_flight=1, failures_allowed=9)
    change = run([early, late], clock, policy=policy)
    gone(early)
    fleets.drive(clock, until=lambda: states(change)[State.FAILED] == 1)
    first = change.replacements.get(instance=early)
    assert (first.outcome, first.error_code) == (Outcome.FAILED_UNTOUCHED, "InvalidInstanceId.NotFound")
    fleets.drive(clock, until=lambda: Replacement.objects.filter(instance=late).exclude(new_disk_id="").exists())
    gone(late)
    fleets.drive(clock)
    change.refresh_from_db()
    second = change.replacements.get(instance=late)
    assert (second.state, change.state) == (State.HELD, ChangeState.RUNNING)
