"""As few calls as the API allows: the pace of looking, readings that serve twice, machines that stop in time and not before."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.changes.running import controls
from fleet.engine import pace
from fleet.engine.pace import seconds_to_next_look
from fleet.engine.results import Move, State
from fleet.guards.policy import Policy
from fleet.lib.clock import ManualClock
from fleet.models import Account, Outcome, Replacement, StepTiming
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db


@given(elapsed=st.floats(0, 10_000), usually=st.none() | st.floats(0.01, 5_000))
def test_a_look_always_comes_and_never_at_once(elapsed: float, usually: float | None) -> None:
    pause = seconds_to_next_look(elapsed, usually)
    assert pause > 0
    assert pause <= max(10.0, usually or 0.0)


def test_a_look_comes_at_half_of_the_usual_time_one_just_before_its_end_and_then_soon() -> None:
    assert seconds_to_next_look(0, 60) == pytest.approx(30)
    assert seconds_to_next_look(30, 60) == pytest.approx(28.8)
    assert seconds_to_next_look(0, 4) == pytest.approx(3.92)
    assert seconds_to_next_look(59.5, 60) == pytest.approx(3.0)
    assert seconds_to_next_look(400, 60) == 10.0
    assert seconds_to_next_look(0, None) == 1.0


def test_what_machines_took_is_learnt_and_a_short_time_is_found_again(fleet: Emulator, clock: ManualClock) -> None:
    change = fleets.started(fleets.plain(2), fleets.image_named("Ubuntu 24.04"), clock)
    rows = list(change.replacements.all())
    for row in rows:
        row.state, row.asked_at = State.STOPPING, clock.now()
    moves = {row.pk: Move(State.REPLACING) for row in rows}

    pace.learn(rows, moves, clock.now() + timedelta(seconds=40))
    first = StepTiming.objects.get(state=State.STOPPING)
    assert (first.seconds, first.longest, first.seen) == (40, 40, 2)
    for _ in range(20):
        pace.learn(rows, moves, clock.now() + timedelta(seconds=10))
    later = StepTiming.objects.get(state=State.STOPPING)
    assert 9 <= later.seconds < 12
    assert later.longest < 10 * 2

    back = {row.pk: Move(State.STARTING, fields={"outcome": Outcome.FAILED_UNTOUCHED}) for row in rows}
    pace.learn(rows, back, clock.now() + timedelta(hours=1))
    assert StepTiming.objects.get(state=State.STOPPING) == later, "a way back teaches nothing"
    assert StepTiming.objects.get(state=State.STOPPING).seen == later.seen


def looked_at(rows: list[Replacement], usually: float, clock: ManualClock, *, really: float) -> float:
    """Look when the engine would, until what takes `really` seconds is done; return after how many seconds that was."""
    begin, elapsed = clock.now(), 0.0
    for row in rows:
        row.state, row.asked_at = State.STOPPING, begin
    while elapsed < really:
        elapsed += seconds_to_next_look(elapsed, usually)
    pace.learn(rows, {row.pk: Move(State.REPLACING) for row in rows}, begin + timedelta(seconds=elapsed))
    return elapsed


def usual_stop() -> float:
    return StepTiming.objects.get(state=State.STOPPING).seconds


@pytest.mark.parametrize("before", [600.0, 100.0, 30.0])
def test_after_a_slow_day_the_pace_comes_back_and_stays(before: float, fleet: Emulator, clock: ManualClock) -> None:
    change = fleets.started(fleets.plain(4), fleets.image_named("Ubuntu 24.04"), clock)
    rows = list(change.replacements.all())
    StepTiming.objects.create(account=rows[0].account, state=State.STOPPING, seconds=before, longest=before, seen=1000)

    for _ in range(40):
        looked_at(rows, usual_stop(), clock, really=60)

    waited = [looked_at(rows, usual_stop(), clock, really=60) for _ in range(20)]
    assert max(waited) < 72
    assert sum(waited) / len(waited) < 66


def test_a_look_that_came_late_is_no_pace_of_the_cloud(fleet: Emulator, clock: ManualClock) -> None:
    change = fleets.started(fleets.plain(2), fleets.image_named("Ubuntu 24.04"), clock)
    rows = list(change.replacements.all())
    StepTiming.objects.create(account=rows[0].account, state=State.STOPPING, seconds=30, longest=30, seen=50)

    def seen_after(seconds: float) -> None:
        pace.learn(rows, {row.pk: Move(State.REPLACING) for row in rows}, clock.now() + timedelta(seconds=seconds))

    for row in rows:
        row.state, row.asked_at, row.late = State.STOPPING, clock.now(), timedelta(minutes=20)
    seen_after(1230)
    assert usual_stop() == 30
    seen_after(20)
    assert usual_stop() < 30, "it may be shorter, however late it was seen"

    StepTiming.objects.all().delete()
    pace.forget()
    seen_after(1230)
    assert not StepTiming.objects.exists()


def test_forty_machines_take_one_call_each_and_few_besides(fleet: Emulator, clock: ManualClock) -> None:
    policy = Policy(max_in_flight=40, failures_allowed=0)
    machines = fleets.plain(40)
    change = fleets.approved(machines, fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    begin = len(fleet.journal())
    change = controls.start(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    fleets.drive(clock)

    calls = [call["action"] for call in fleet.journal()[begin:]]
    assert calls.count("ReplaceSystemDisk") == 40
    assert calls.count("StopInstances") == calls.count("StartInstances") == 1
    restored = calls.count("TagResources") + calls.count("ApplyAutoSnapshotPolicy")
    assert len(calls) - restored <= 40 + 2 + 14, calls
    assert set(change.replacements.values_list("outcome", flat=True)) == {Outcome.SUCCEEDED}


def test_no_machine_is_stopped_long_before_the_quota_lets_its_call_go(fleet: Emulator, clock: ManualClock) -> None:
    Account.objects.update(replace_quota=3)
    policy = Policy(max_in_flight=20, failures_allowed=0)
    change = fleets.started(fleets.plain(20), fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    most = 0

    def look() -> bool:
        nonlocal most
        waiting = change.replacements.filter(first_sent_at=None).exclude(state=State.QUEUED)
        most = max(most, waiting.exclude(state__in=[State.DONE, State.CANCELLED, State.FAILED]).count())
        return False

    fleets.drive(clock, until=look, steps=2000)

    assert most <= 3 * 2, "two minutes' calls: a stop takes less than one"
    assert set(change.replacements.values_list("outcome", flat=True)) == {Outcome.SUCCEEDED}


def test_where_the_quota_is_used_up_nobody_is_looked_at_before_the_next_minute(
    fleet: Emulator, clock: ManualClock
) -> None:
    Account.objects.update(replace_quota=2)
    clock.advance(60 - clock.now().second)
    change = fleets.started(fleets.plain(4), fleets.image_named("Ubuntu 24.04"), clock)
    sent = Replacement.objects.filter(change=change, first_sent_at__isnull=False)

    fleets.drive(clock, until=lambda: sent.count() == 2)
    begin, minute = len(fleet.journal()), clock.now().minute
    fleets.drive(clock, until=lambda: sent.count() > 2 or clock.now().minute != minute)

    early = [call for call in fleet.journal()[begin:] if call["action"] == "ReplaceSystemDisk"]
    assert len(early) <= 2
    fleets.drive(clock)
    assert set(change.replacements.values_list("outcome", flat=True)) == {Outcome.SUCCEEDED}
