"""Pause, abort, skip, and gates that close late: what was not sent goes back to what it was; the rest is driven to its end."""

from datetime import timedelta

import pytest

from fleet.changes.running import acts, controls, held_machines
from fleet.engine import loop
from fleet.engine.readings import Readings
from fleet.engine.results import State
from fleet.inventory.reading import Reading
from fleet.lib.clock import ManualClock
from fleet.lib.refused import Refused
from fleet.models import AuditEvent, ChangeState, KillSwitch, MachineLock, Outcome, Replacement
from tests.engine.runs import history_is_whole, made, no_quota, operator, outcomes, power, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
Policy = fleets.Policy
AT_ONCE = Policy(max_in_flight=10, failures_allowed=9)


def pause_where(state: State, clock: ManualClock, change_id: int) -> None:
    """Drive until a machine is in this state, then pause."""
    fleets.drive(clock, until=lambda: Replacement.objects.filter(change=change_id, state=state).exists())
    controls.pause(actor=operator(), change_id=change_id, now=clock.now())


@pytest.mark.parametrize("state", [State.PREPARING, State.STOPPING, State.SNAPSHOTTING, State.REPLACING])
def test_pause_brings_back_what_was_not_sent_and_resume_goes_on(
    fleet: Emulator, clock: ManualClock, state: State
) -> None:
    machines = fleets.plain(3)
    change = run(machines, clock, policy=AT_ONCE, snapshot_days=3)
    with no_quota():
        pause_where(state, clock, change.pk)
        fleets.drive(clock)

    assert states(change) == {State.QUEUED: 3}
    assert made(fleet) == []
    assert [power(machine, fleet) for machine in machines] == ["Running"] * 3
    assert not Replacement.objects.filter(returning=True).exists()
    told = AuditEvent.objects.filter(change=change, action="change.paused").get()
    assert told.data == {"called_back": 3}
    assert AuditEvent.objects.filter(change=change, action="instance.returned").count() == 3

    controls.resume(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 3}
    assert len(made(fleet)) == 3


def test_pause_drives_to_its_end_what_was_sent(fleet: Emulator, clock: ManualClock) -> None:
    change = run(2, clock, policy=Policy(max_in_flight=1))
    fleets.drive(clock, until=lambda: Replacement.objects.exclude(new_disk_id="").exists())
    effect = acts.preview(change, "pause", clock.now())
    controls.pause(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)

    change.refresh_from_db()
    assert effect.numbers == {"brought_back": 0, "driven_to_end": 1, "left": 1}
    assert (change.state, states(change)) == (ChangeState.PAUSED, {State.DONE: 1, State.QUEUED: 1})


@pytest.mark.parametrize("meanwhile", [{"returning": True}, {"lease": 99}], ids=["called back", "overtaken"])
def test_a_call_that_is_about_to_leave_stays(
    fleet: Emulator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, meanwhile: dict[str, object]
) -> None:
    """A pause, or another worker, comes between the reading and the intent: it is not committed, and nothing leaves."""
    change = run(1, clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
    clock.advance(60)
    read = Readings.of

    def read_and_change(self: Readings, batch_rows: list[Replacement], its_clock: ManualClock) -> dict[int, Reading]:
        readings = read(self, batch_rows, its_clock)
        Replacement.objects.filter(pk=batch_rows[0].pk).update(**meanwhile)
        return readings

    monkeypatch.setattr(Readings, "of", read_and_change)
    loop.step(clock)
    row = rows(change).get()
    assert (row.first_sent_at, made(fleet)) == (None, [])


def test_abort_brings_back_and_ends(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(3)
    change = run(machines, clock, policy=Policy(max_in_flight=2))
    fleets.drive(clock, until=lambda: states(change)[State.STOPPING] == 2)
    effect = acts.preview(change, "cancel", clock.now())
    controls.cancel(actor=operator(), change_id=change.pk, now=clock.now())
    with pytest.raises(Refused, match="It was ended by a person"):
        controls.cancel(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)

    change.refresh_from_db()
    assert effect.numbers == {"brought_back": 2, "driven_to_end": 0, "cancelled": 1, "held": 0}
    assert (change.state, outcomes(change)) == (ChangeState.FINISHED, {Outcome.CANCELLED: 3})
    assert [power(machine, fleet) for machine in machines] == ["Running"] * 3
    assert made(fleet) == []
    assert history_is_whole(change)
    back = "Called back before anything was sent, since the change was ended; the old system is intact."
    assert [row.note for row in rows(change)][:2] == [back, back]


def test_abort_after_a_pause_ends_what_is_on_its_way_back(fleet: Emulator, clock: ManualClock) -> None:
    change = run(2, clock, policy=AT_ONCE)
    pause_where(State.STOPPING, clock, change.pk)
    controls.cancel(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)
    change.refresh_from_db()
    assert (change.state, outcomes(change)) == (ChangeState.FINISHED, {Outcome.CANCELLED: 2})


def test_a_queued_machine_is_skipped(fleet: Emulator, clock: ManualClock) -> None:
    change = run(3, clock, policy=Policy(max_in_flight=1))
    last = rows(change)[2]
    effect = acts.preview(change, "skip", clock.now(), [last.pk])
    assert effect.numbers == {"machines": 1, "past_the_line": 0, "left": 0}
    assert held_machines.skip(actor=operator(), change_id=change.pk, replacement_ids=[last.pk], now=clock.now()) == 1
    last.target.refresh_from_db()
    assert not last.target.open, "another change may have it from now on"
    with pytest.raises(Refused, match="moved on"):
        held_machines.skip(actor=operator(), change_id=change.pk, replacement_ids=[last.pk], now=clock.now())
    fleets.drive(clock)

    assert outcomes(change) == {Outcome.SUCCEEDED: 2, Outcome.CANCELLED: 1}
    assert rows(change)[2].target.open is False


def test_the_kill_switch_sends_a_stopped_machine_back_and_later_it_goes_on(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    change = run([machine], clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
    press = KillSwitch.objects.create(reason="An incident.", pressed_by=fleets.person("admin"), pressed_at=clock.now())
    fleets.drive(clock)

    change.refresh_from_db()
    assert (made(fleet), power(machine, fleet), states(change)) == ([], "Running", {State.QUEUED: 1})
    assert change.state == ChangeState.RUNNING
    assert "kill switch" in change.waits_for.lower()

    press.lifted_by, press.lifted_at = fleets.person("admin"), clock.now()
    press.save()
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 1}


def test_a_locked_machine_waits_in_the_queue(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(2)
    change = run(machines, clock, policy=Policy(max_in_flight=1))
    until = clock.now() + timedelta(hours=2)
    MachineLock.objects.create(
        instance=machines[1], owner=fleets.person("admin"), reason="Debugging.", at=clock.now(), expires_at=until
    )
    fleets.drive(clock)

    change.refresh_from_db()
    assert states(change) == {State.DONE: 1, State.QUEUED: 1}
    assert "locked" in change.waits_for
    clock.advance(2 * 3600 + 1)
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 2}


def test_what_does_not_come_back_is_said(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    change = run([machine], clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
    fleet.faults({"kind": "boot_fails", "action": "StartInstances", "times": 0})
    controls.pause(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock, rarely=60)

    row = rows(change).get()
    assert (row.state, row.held_from, row.outcome) == (State.HELD, State.STARTING, Outcome.FAILED_UNTOUCHED)
    assert row.note.startswith("It did not start again in 15 min; the old system is intact.")


def test_time_in_which_nobody_worked_is_not_held_against_a_machine(fleet: Emulator, clock: ManualClock) -> None:
    change = run(2, clock, policy=AT_ONCE)
    fleets.drive(clock, until=lambda: states(change)[State.STOPPING] == 2)
    clock.advance(5 * 3600)
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 2}
