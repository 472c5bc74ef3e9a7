"""The gates ask for what is true when the call leaves, and not when its row was claimed."""

from datetime import timedelta

import pytest

from fleet.engine import loop
from fleet.engine.handlers import sending
from fleet.engine.handlers.sending import THREADS
from fleet.engine.protocol import READING_LASTS
from fleet.engine.readings import Readings
from fleet.engine.results import State
from fleet.guards import kill_switch
from fleet.inventory.reading import Reading
from fleet.lib.clock import ManualClock
from fleet.models import Account, Calendar, CallWindow, Instance, KillSwitch, Outcome, Replacement
from tests.engine.runs import RunningClock, made, no_quota, outcomes, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
Policy = fleets.Policy
AT_ONCE = Policy(max_in_flight=10, failures_allowed=9)


def test_the_guard_asks_for_the_tag_that_the_cloud_shows_now(fleet: Emulator, clock: ManualClock) -> None:
    Account.objects.update(guard_lifted=False)
    machine = fleets.plain(1)[0]
    fleet.patch_instance(machine.instance_id, Tags=dict(machine.tags) | {"fleet-os": "allowed"})
    Instance.objects.filter(pk=machine.pk).update(tags=dict(machine.tags) | {"fleet-os": "allowed"})
    machine.refresh_from_db()
    change = run([machine], clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
        clock.advance(1)
        loop.step(clock)
    tags = dict(machine.tags)
    tags.pop("fleet-os", None)
    fleet.patch_instance(machine.instance_id, Tags=tags)
    clock.advance(61)
    fleets.drive(clock)

    assert made(fleet) == []
    assert rows(change).get().state == State.HELD


def test_a_call_counts_in_the_minute_in_which_it_leaves(fleet: Emulator, clock: ManualClock) -> None:
    change = run(1, clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
    minute = clock.moment.replace(second=0, microsecond=0) + timedelta(minutes=3)
    running_clock = RunningClock(minute - timedelta(seconds=1))
    fleet.faults({"action": "DescribeInstances", "kind": "delay", "seconds": 1.5, "times": 1})

    loop.step(running_clock)

    windows = list(CallWindow.objects.filter(action="ReplaceSystemDisk", used__gt=0).values_list("minute", "used"))
    assert windows == [(minute, 1)]


def test_no_more_calls_leave_in_a_minute_than_the_quota_has(fleet: Emulator, clock: ManualClock) -> None:
    change = run(3, clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 3)
    Account.objects.update(replace_quota=2)
    clock.advance(120)

    loop.step(clock)
    assert len(fleet.journal(action="ReplaceSystemDisk")) == 2
    loop.step(clock)
    assert len(fleet.journal(action="ReplaceSystemDisk")) == 2
    clock.advance(61)
    loop.step(clock)
    assert len(fleet.journal(action="ReplaceSystemDisk")) == 3


def test_no_call_leaves_in_a_freeze_that_began_during_the_reading(fleet: Emulator, clock: ManualClock) -> None:
    change = run(1, clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
    clock.advance(120)
    running_clock = RunningClock(clock.moment)
    freeze = Calendar.objects.create(name="Freeze", open_by_default=True, active=True)
    freeze.entries.create(
        title="Frozen", starts_at=clock.moment + timedelta(seconds=2), ends_at=clock.moment + timedelta(days=1)
    )
    fleet.faults({"action": "DescribeInstances", "kind": "delay", "seconds": 4, "times": 1})

    loop.step(running_clock)

    assert fleet.journal(action="ReplaceSystemDisk") == []


def test_no_call_leaves_while_the_provider_has_the_machine_locked(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    change = run([machine], clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
    fleet.patch_instance(machine.instance_id, OperationLocks=["financial"])
    clock.advance(61)
    fleets.drive(clock, rarely=60)

    assert outcomes(change) == {Outcome.FAILED_UNTOUCHED: 1}
    assert fleet.journal(action="ReplaceSystemDisk") == []


def test_no_call_leaves_on_a_reading_that_is_too_old(
    fleet: Emulator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = run(1, clock, policy=AT_ONCE)
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
    clock.advance(60)
    read = Readings.of

    def read_slowly(self: Readings, batch_rows: list[Replacement], its_clock: ManualClock) -> dict[int, Reading]:
        readings = read(self, batch_rows, its_clock)
        its_clock.advance(READING_LASTS + 0.1)
        return readings

    monkeypatch.setattr(Readings, "of", read_slowly)
    loop.step(clock)
    assert fleet.journal(action="ReplaceSystemDisk") == []
    assert rows(change).get().first_sent_at is None, "the intent of a call that did not leave is taken back"


def test_the_kill_switch_stops_what_has_not_left_when_it_is_pressed(
    fleet: Emulator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = run(THREADS + 2, clock, policy=Policy(max_in_flight=THREADS + 2))
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == THREADS + 2)
    clock.advance(60)
    admin = fleets.person("admin")

    def asked_a_moment_too_early(account_id: int, region: str) -> str:
        pressed = kill_switch.pressed(account_id, region)
        if not pressed:
            KillSwitch.objects.create(reason="Stop.", pressed_by=admin, pressed_at=clock.now())
        return pressed

    monkeypatch.setattr(sending, "pressed", asked_a_moment_too_early)
    loop.step(clock)
    assert len(fleet.journal(action="ReplaceSystemDisk")) == THREADS
    assert change.replacements.filter(first_sent_at=None).count() == 2
