"""A database that came back from a backup has forgotten calls: its live machines are held, and a person looks first."""

import pytest

from fleet.changes.running import held_machines
from fleet.engine import claims
from fleet.engine.codes import RESTORED
from fleet.engine.restored_database import recognise
from fleet.engine.results import Move, State
from fleet.lib.clock import ManualClock
from fleet.models import AuditEvent, Installation
from tests.engine.runs import history_is_whole, operator, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator


@pytest.mark.django_db
def test_every_live_machine_is_held_and_whoever_worked_on_one_is_overtaken(fleet: Emulator, clock: ManualClock) -> None:
    change = run(3, clock, policy=fleets.Policy(max_in_flight=2))
    assert recognise(clock.now()) == 0, "the first look makes it known"
    fleets.drive(clock, until=lambda: states(change)[State.STOPPING] == 2)
    clock.advance(60)
    (group,) = claims.next_groups(clock.now())
    claimed = claims.claim(group, clock.now())
    assert recognise(clock.now()) == 0, "it is the same database"

    Installation.objects.update(timeline=0)
    assert recognise(clock.now()) == 2

    assert states(change) == {State.HELD: 2, State.QUEUED: 1}
    held = rows(change).filter(state=State.HELD)
    assert {(row.held_from, row.error_code, row.due_at) for row in held} == {(State.STOPPING, RESTORED, None)}
    assert history_is_whole(change)
    assert AuditEvent.objects.get(action="worker.restored_database").data["held"] == 2
    pks = [row.pk for row in claimed]
    held_machines.look_again(actor=operator(), change_id=change.pk, replacement_ids=pks, now=clock.now())
    assert states(change)[State.STOPPING] == 2, "in the state in which the worker has claimed them"
    stopped = {row.pk: Move(State.REPLACING, "It has stopped.") for row in claimed}
    assert claims.settle(claimed, stopped, clock.now()) == set()
    assert states(change)[State.STOPPING] == 2
