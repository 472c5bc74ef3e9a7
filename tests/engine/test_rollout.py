"""From draft to done against the emulator over HTTP, with a clock that is passed in."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fleet.changes.running import controls
from fleet.engine.batch import Batch
from fleet.engine.graph import GRAPH
from fleet.engine.results import Result, State
from fleet.inventory.credentials import client_for
from fleet.lib.clock import ManualClock
from fleet.models import AuditEvent, Change, ChangeState, Instance, Outcome, Replacement, Target
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.support.mirrored import MirroredFleets

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleet(db: None, emulator_server: Emulator, mirrored_fleets: MirroredFleets) -> Iterator[Emulator]:
    with mirrored_fleets.of(emulator_server, instances=300):
        yield emulator_server


def made(emulator: Emulator) -> list[dict[str, Any]]:
    """Return the system disks that were made by a replacement."""
    return [disk for disk in emulator.ledger()["disks"] if disk["how"] == "ReplaceSystemDisk"]


def outcomes(change: Change) -> dict[str, int]:
    found: dict[str, int] = {}
    for outcome in change.replacements.values_list("outcome", flat=True):
        found[outcome] = found.get(outcome, 0) + 1
    return found


def test_five_machines_get_one_new_disk_each(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(5)
    image = fleets.image_named("Ubuntu 24.04")
    change = fleets.started(machines, image, clock)

    fleets.drive(clock)

    change.refresh_from_db()
    assert outcomes(change) == {Outcome.SUCCEEDED: 5}
    assert change.state == ChangeState.FINISHED
    disks = made(fleet)
    assert {disk["instance_id"] for disk in disks} == {machine.instance_id for machine in machines}
    assert len(disks) == 5
    assert {(disk["size"], disk["image_id"]) for disk in disks} == {(60, image.image_id)}
    for machine in machines:
        fresh = Instance.objects.get(pk=machine.pk)
        assert fresh.status == "Running"
        assert fresh.image_id == image.image_id
        assert fresh.disk_size == 60
        assert fresh.disk_id != machine.disk_id
    assert not Target.objects.filter(open=True).exists()


def test_the_trail_tells_it_in_order_with_the_request_ids(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    change = fleets.started([machine], fleets.image_named("Ubuntu 24.04"), clock)
    fleets.drive(clock)

    told = list(AuditEvent.objects.filter(change=change).order_by("number").values_list("action", "request_id"))
    actions = [action for action, _ in told]

    assert [a for a in actions if a.startswith(("change.", "instance."))] == [
        "change.drafted",
        "change.edited",
        "change.submitted",
        "change.checked",
        *(["change.group_seen"] * actions.count("change.group_seen")),
        "change.approved",
        "change.started",
        "instance.stop_asked",
        "instance.intended",
        "instance.disk_replaced",
        *(["instance.restored"] * actions.count("instance.restored")),
        "instance.start_asked",
        "instance.succeeded",
        "change.finished",
    ]
    calls = {entry["request_id"]: entry["action"] for entry in fleet.journal()}
    mutating = [call for call in calls.values() if not call.startswith("Describe")]
    on_trail = [calls[request_id] for _, request_id in told if request_id]
    assert sorted(on_trail) == sorted(mutating)


def test_what_the_disk_carried_is_put_back(fleet: Emulator, clock: ManualClock) -> None:
    machine = next(m for m in fleets.plain(40) if m.disk_snapshot_policy)
    client_for(machine.account, machine.region).tag_disks(
        disk_ids=[machine.disk_id], tags={"backup": "daily", "ä": "ö"}
    )
    change = fleets.started([machine], fleets.image_named("Ubuntu 24.04"), clock)
    fleets.drive(clock)

    fresh = Instance.objects.get(pk=machine.pk)
    assert outcomes(change) == {Outcome.SUCCEEDED: 1}
    assert fresh.disk_snapshot_policy == machine.disk_snapshot_policy
    assert {"backup": "daily", "ä": "ö"}.items() <= fresh.disk_tags.items()


def test_a_machine_that_was_stopped_stays_stopped(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1, status="Stopped", stopped_mode="KeepCharging")[0]
    change = fleets.started([machine], fleets.image_named("Ubuntu 24.04"), clock)
    fleets.drive(clock)

    assert outcomes(change) == {Outcome.SUCCEEDED: 1}
    assert Instance.objects.get(pk=machine.pk).status == "Stopped"
    assert not [call for call in fleet.journal() if call["action"].startswith(("Stop", "Start"))]


def test_an_answer_that_was_lost_after_the_deed_is_adopted_and_never_sent_again(
    fleet: Emulator, clock: ManualClock
) -> None:
    machine = fleets.plain(1)[0]
    fleet.faults({"action": "ReplaceSystemDisk", "kind": "commit_then_drop", "times": 1})
    change = fleets.started([machine], fleets.image_named("Ubuntu 24.04"), ManualClock(datetime.now(UTC)))
    fleets.drive(clock)

    assert len(made(fleet)) == 1
    row = Replacement.objects.get(change=change)
    assert row.outcome in (Outcome.ADOPTED, Outcome.SUCCEEDED), row.note
    assert row.new_disk_id == made(fleet)[0]["disk_id"]


def test_an_answer_that_was_lost_before_the_deed_is_asked_for_again_with_the_same_token(
    fleet: Emulator, clock: ManualClock
) -> None:
    machine = fleets.plain(1)[0]
    fleet.faults({"action": "ReplaceSystemDisk", "kind": "drop", "times": 2})
    change = fleets.started([machine], fleets.image_named("Ubuntu 24.04"), clock)
    fleets.drive(clock)

    assert outcomes(change) == {Outcome.SUCCEEDED: 1}
    tokens = {entry["client_token"] for entry in fleet.journal(action="ReplaceSystemDisk")}
    assert len(tokens) == 1
    assert len(made(fleet)) == 1


def test_a_refusal_leaves_the_old_system_running_and_trips_the_change(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(3)
    fleet.patch_instance(machines[0].instance_id, unpaid_order=True)
    policy = fleets.Policy(max_in_flight=1, failures_allowed=0)
    change = fleets.started(machines, fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    fleets.drive(clock)

    change.refresh_from_db()
    first = Replacement.objects.get(instance=machines[0])
    assert (first.outcome, first.error_code) == (Outcome.FAILED_UNTOUCHED, "INST_HAS_UNPAID_ORDER")
    assert Instance.objects.get(pk=machines[0].pk).status == "Running"
    assert change.state == ChangeState.TRIPPED
    assert made(fleet) == []

    controls.cancel(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    change.refresh_from_db()
    assert change.state == ChangeState.FINISHED
    assert outcomes(change) == {Outcome.FAILED_UNTOUCHED: 1, Outcome.CANCELLED: 2}
    assert not Target.objects.filter(open=True).exists()


def test_a_disk_that_is_not_the_approved_one_is_not_touched(fleet: Emulator, clock: ManualClock) -> None:
    machine, other = fleets.plain(2)
    change = fleets.approved([machine, other], fleets.image_named("Ubuntu 24.04"), clock)
    fleets.replace_behind_our_back(machine, fleets.image_named("Ubuntu 22.04"))
    controls.start(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    fleets.drive(clock)

    assert outcomes(change) == {Outcome.SKIPPED_DRIFT: 1, Outcome.SUCCEEDED: 1}
    assert Instance.objects.get(pk=machine.pk).status == "Running"
    skipped = change.replacements.get(instance=machine)
    assert skipped.note.startswith("Its system disk is d-")
    assert not skipped.transitions.filter(to_state=State.STOPPING).exists(), "it is not even stopped"
    assert [disk["instance_id"] for disk in made(fleet)].count(machine.instance_id) == 1, "the other actor's own"


def test_never_more_in_flight_than_the_policy_allows(fleet: Emulator, clock: ManualClock) -> None:
    policy = fleets.Policy(max_in_flight=2, failures_allowed=0)
    change = fleets.started(fleets.plain(6), fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    seen: list[int] = []

    def look() -> bool:
        live = change.replacements.exclude(state__in=["queued", "done", "failed", "cancelled"])
        seen.append(live.count())
        return False

    fleets.drive(clock, until=look)

    assert outcomes(change) == {Outcome.SUCCEEDED: 6}
    assert max(seen) == 2


def test_a_password_is_used_and_then_destroyed(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    secret = fleets.Secret("Canary4711xyzABC")
    change = fleets.started(
        [machine], fleets.image_named("Ubuntu 24.04"), clock, login="password", key_pair="", password=secret
    )
    fleets.drive(clock)

    change.refresh_from_db()
    assert outcomes(change) == {Outcome.SUCCEEDED: 1}
    assert change.secret is not None
    assert change.secret.sealed == ""
    assert fleet.ledger()["logins"][machine.instance_id]["password_set"]
    assert secret.reveal() not in str(fleet.journal())


def test_one_poisoned_machine_is_held_and_does_not_hold_the_others(
    fleet: Emulator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = fleets.plain(3)
    policy = fleets.Policy(max_in_flight=3, failures_allowed=1)
    change = fleets.started(machines, fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    stop = GRAPH[State.STOPPING]

    def poisoned(batch: Batch) -> dict[int, Result]:
        if any(row.instance_id == machines[1].pk for row in batch.rows):
            raise ZeroDivisionError
        return stop.handler(batch)

    monkeypatch.setitem(GRAPH, State.STOPPING, replace(stop, handler=poisoned))
    fleets.drive(clock)

    assert outcomes(change) == {Outcome.SUCCEEDED: 2, "": 1}
    held = Replacement.objects.get(instance=machines[1])
    assert (held.state, held.held_from) == (State.HELD, State.STOPPING)
    assert "Three times" in held.note
    assert len(made(fleet)) == 2
