"""Claims: a row belongs to its latest claim, goes to a person when nobody finishes it, and loses no time to idle workers."""

from datetime import timedelta

import pytest
from django.db import transaction

from fleet.engine import claims, loop
from fleet.engine.batch import LEASE_SECONDS
from fleet.engine.results import Move, State
from fleet.lib.clock import ManualClock
from tests.engine.runs import rows, run
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
ONE = fleets.Policy(max_in_flight=1)


def test_a_worker_that_was_slower_than_its_lease_writes_nothing(fleet: Emulator, clock: ManualClock) -> None:
    change = run(1, clock, policy=ONE)
    (group,) = claims.next_groups(clock.now())
    slow = claims.claim(group, clock.now())
    assert claims.claim(group, clock.now()) == [], "it is taken"
    clock.advance(LEASE_SECONDS + 1)
    later = claims.claim(group, clock.now())
    assert [row.pk for row in later] == [row.pk for row in slow]

    onward = {row.pk: Move(State.STOPPING, "It is the approved machine.") for row in slow}
    assert claims.settle(slow, dict(onward), clock.now()) == set()
    assert rows(change).get().state == State.PREPARING
    assert claims.settle(later, dict(onward), clock.now()) == {change.pk}
    assert rows(change).get().state == State.STOPPING


def test_a_way_that_the_graph_does_not_have_is_not_gone(fleet: Emulator, clock: ManualClock) -> None:
    change = run(1, clock, policy=ONE)
    (group,) = claims.next_groups(clock.now())
    claimed = claims.claim(group, clock.now())
    with pytest.raises(ValueError, match="preparing does not lead to done"), transaction.atomic():
        claims.settle(claimed, {row.pk: Move(State.DONE) for row in claimed}, clock.now())
    assert rows(change).get().state == State.PREPARING


def test_a_machine_that_no_worker_finishes_goes_to_a_person(fleet: Emulator, clock: ManualClock) -> None:
    change = run(1, clock, policy=ONE)
    (group,) = claims.next_groups(clock.now())
    for _ in range(claims.MOST_CLAIMS):
        assert len(claims.claim(group, clock.now())) == 1  # and the worker dies
        clock.advance(LEASE_SECONDS + 1)
    loop.step(clock)

    row = rows(change).get()
    assert (row.state, row.held_from) == (State.HELD, State.PREPARING)
    assert row.note.startswith("Three times in a row nobody came back")


def test_time_in_which_no_worker_looked_is_given_back(fleet: Emulator, clock: ManualClock) -> None:
    change = run(1, clock, policy=ONE)
    before = rows(change).get().deadline_at
    assert before is not None
    clock.advance(3600)  # twice the time that the state has
    (group,) = claims.next_groups(clock.now())
    (row,) = claims.claim(group, clock.now())
    assert row.deadline_at == before + timedelta(hours=1)
