"""An end by a person is a fact: whatever a worker has in its hands just then, nothing leaves after it, nobody stays behind."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from fleet.changes.running import controls, held_machines
from fleet.changes.running.causes import clusters
from fleet.cloud import EcsClient
from fleet.engine import loop
from fleet.engine.claims import settle
from fleet.engine.codes import INCONCLUSIVE
from fleet.engine.handlers.returning import SHOWN_AFTER
from fleet.engine.readings import Readings
from fleet.engine.results import Result, State
from fleet.guards.policy import PolicyStep
from fleet.inventory.reading import Reading
from fleet.lib.clock import Clock, ManualClock
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState, KillSwitch, Outcome, Replacement
from tests.engine.runs import made, no_quota, operator, outcomes, power, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
Policy = fleets.Policy
AT_ONCE = Policy(max_in_flight=10, failures_allowed=9)


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, where: Callable[[list[Replacement]], bool]
) -> None:
    """Run `act` once, while a worker that has claimed rows in state `where` is reading them."""
    read, did = Readings.of, list[int]()

    def read_and_act(self: Readings, batch_rows: list[Replacement], its_clock: Clock) -> dict[int, Reading]:
        readings = read(self, batch_rows, its_clock)
        if not did and where(batch_rows):
            did.append(1)
            act()
        return readings

    monkeypatch.setattr(Readings, "of", read_and_act)


@pytest.mark.parametrize("paused", [False, True])
def test_an_end_counts_for_machines_that_a_worker_brings_back_just_then(
    fleet: Emulator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    change = run(2, clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 2)
    if paused:
        controls.pause(actor=operator(), change_id=change.pk, now=clock.now())
    else:
        press = KillSwitch.objects.create(reason="x", pressed_by=fleets.person("admin"), pressed_at=clock.now())
    clock.advance(61)
    asked = Replacement.objects.filter(returning=True, asked_at__isnull=False)
    fleets.drive(clock, until=lambda: asked.filter(due_at__gt=clock.now()).count() == 2)

    def run_again(batch: list[Replacement]) -> bool:
        now = clock.now()
        return all(row.returning and row.asked_at and now - row.asked_at > SHOWN_AFTER for row in batch)

    # Their reading says that they run and may queue again; the end comes before that is written down.
    end = partial(controls.cancel, actor=operator(), change_id=change.pk, now=clock.now())
    meanwhile(monkeypatch, end, where=run_again)
    fleets.drive(clock)
    if not paused:  # and no gate is left that would keep them back
        press.lifted_at, press.lifted_by = clock.now(), fleets.person("admin")
        press.save()
        fleets.drive(clock)

    change.refresh_from_db()
    assert made(fleet) == []
    assert (change.state, outcomes(change)) == (ChangeState.FINISHED, {Outcome.CANCELLED: 2})


def test_a_throttled_call_does_not_leave_after_the_end(
    fleet: Emulator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = run(2, clock, policy=Policy(max_in_flight=1, failures_allowed=5))
    fleet.faults({"kind": "error", "code": "Throttling.User", "action": "ReplaceSystemDisk", "times": 1})
    call = EcsClient.replace_system_disk
    ended: list[Change] = []

    def call_and_end(self: EcsClient, **given: Any) -> Any:
        try:
            return call(self, **given)
        finally:
            ended.append(change)  # the end itself comes before this answer is written down: here is no database

    def ended_meanwhile(rows: list[Replacement], results: dict[int, Result], now: datetime) -> set[int]:
        if ended and not change.aborted_at:
            controls.cancel(actor=operator(), change_id=change.pk, now=clock.now())
            change.refresh_from_db()
        return settle(rows, results, now)

    monkeypatch.setattr(EcsClient, "replace_system_disk", call_and_end)
    monkeypatch.setattr(loop.claims, "settle", ended_meanwhile)
    fleets.drive(clock)

    change.refresh_from_db()
    assert len(fleet.journal(action="ReplaceSystemDisk")) == 1
    assert (change.state, outcomes(change)) == (ChangeState.FINISHED, {Outcome.CANCELLED: 2})


def test_a_held_machine_that_is_looked_at_after_the_end_goes_home(fleet: Emulator, clock: ManualClock) -> None:
    change = run(2, clock, policy=AT_ONCE)
    fleets.drive(clock, until=lambda: states(change)[State.STOPPING] == 2)
    first = rows(change)[0]
    Replacement.objects.filter(pk=first.pk).update(state=State.HELD, held_from=State.STOPPING, due_at=None, note="Why.")
    controls.cancel(actor=operator(), change_id=change.pk, now=clock.now())
    held_machines.look_again(actor=operator(), change_id=change.pk, replacement_ids=[first.pk], now=clock.now())
    fleets.drive(clock)

    assert made(fleet) == []
    assert outcomes(change) == {Outcome.CANCELLED: 2}


def test_what_was_ended_is_not_let_go_on(fleet: Emulator, clock: ManualClock) -> None:
    change = run(3, clock, policy=Policy(max_in_flight=1, failures_allowed=5))
    fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1 and made(fleet) != [])
    controls.pause(actor=operator(), change_id=change.pk, now=clock.now())
    controls.cancel(actor=operator(), change_id=change.pk, now=clock.now())
    for again in (controls.resume, controls.pause, controls.cancel):
        with pytest.raises(Refused, match="It was ended by a person: nothing new begins"):
            again(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)

    change.refresh_from_db()
    assert change.state == ChangeState.FINISHED
    assert outcomes(change) == {Outcome.SUCCEEDED: 1, Outcome.CANCELLED: 2}


def test_a_machine_that_does_not_start_after_the_end_is_held(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    change = run([machine], clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
    no_stock = {"kind": "error", "code": "OperationDenied.NoStock", "action": "StartInstances", "times": 0}
    fleet.faults(no_stock)
    controls.cancel(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock, rarely=60)

    change.refresh_from_db()
    row = rows(change).get()
    assert (change.state, row.state, power(machine, fleet)) == (ChangeState.RUNNING, State.HELD, "Stopped")
    (cluster,) = clusters(change)
    assert cluster.cause.next_act.endswith("look again.")

    fleet.faults()
    held_machines.look_again(actor=operator(), change_id=change.pk, replacement_ids=[row.pk], now=clock.now())
    fleets.drive(clock)
    change.refresh_from_db()
    assert (change.state, outcomes(change)) == (ChangeState.FINISHED, {Outcome.CANCELLED: 1})
    assert power(machine, fleet) == "Running"


def test_a_step_that_is_judged_good_in_a_paused_change_stops_nothing(fleet: Emulator, clock: ManualClock) -> None:
    before = PolicyStep(kind="command", text="true", timeout=60)
    change = run(1, clock, policy=Policy(max_in_flight=2, failures_allowed=9, before=before))
    fleets.drive(clock, until=lambda: states(change)[State.BEFORE] == 1)
    Replacement.objects.filter(change=change).update(
        state=State.HELD, held_from=State.BEFORE, error_code=INCONCLUSIVE, due_at=None, was_running=True
    )
    controls.pause(actor=operator(), change_id=change.pk, now=clock.now())
    held_machines.judge_inconclusive(
        actor=operator(), change_id=change.pk, replacement_ids=[rows(change).get().pk], serves=True, now=clock.now()
    )
    fleets.drive(clock)
    assert fleet.journal(action="StopInstances") == []
