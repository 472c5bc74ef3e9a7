"""What keeps queued machines from beginning although there is room for them: each reason by itself."""

from datetime import timedelta

import pytest

from fleet.changes.running import controls
from fleet.engine.admission import admit, look_after_change
from fleet.engine.codes import INCONCLUSIVE
from fleet.engine.results import State
from fleet.lib.clock import ManualClock
from fleet.models import AuditEvent, Change, ChangeState, MachineLock
from tests.engine.runs import IMAGE, operator, rows, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db


@pytest.fixture
def change(fleet: Emulator, clock: ManualClock) -> Change:
    """A running change with room for all of its machines. The first has begun; the second was locked by a person then."""
    machines = fleets.plain(2)
    made = fleets.approved(machines, fleets.image_named(IMAGE), clock, policy=fleets.Policy(max_in_flight=5))
    lock = MachineLock.objects.create(instance=machines[1], owner=operator(), reason="Backup runs.", at=clock.now())
    controls.start(actor=operator(), change_id=made.pk, now=clock.now())
    assert states(made) == {State.PREPARING: 1, State.QUEUED: 1}, "a locked machine does not begin"
    look_after_change(made.pk, clock.now())
    assert states(made)[State.QUEUED] == 1
    made.refresh_from_db()
    assert made.waits_for == "1 machine of wave 1 are locked by somebody of yours."
    MachineLock.objects.filter(pk=lock.pk).update(released_at=clock.now())
    return made


def test_a_machine_begins_when_its_lock_is_released(change: Change, clock: ManualClock) -> None:
    assert admit(change, clock.now()) == 1
    assert states(change) == {State.PREPARING: 2}
    assert change.waits_for == ""


def test_none_begins_while_a_step_is_inconclusive(change: Change, clock: ManualClock) -> None:
    first = rows(change)[0]
    change.replacements.filter(pk=first.pk).update(state=State.HELD, error_code=INCONCLUSIVE, due_at=None)
    assert admit(change, clock.now()) == 0
    assert "held with an inconclusive step" in change.waits_for


def test_none_begins_in_a_change_that_a_person_ended(change: Change, clock: ManualClock) -> None:
    change.aborted_at = clock.now()
    assert admit(change, clock.now()) == 0
    assert states(change)[State.QUEUED] == 1


def test_a_change_stops_when_its_approval_expires(change: Change, clock: ManualClock) -> None:
    Change.objects.filter(pk=change.pk).update(approved_until=clock.now() + timedelta(seconds=1))
    clock.advance(1)
    look_after_change(change.pk, clock.now())
    change.refresh_from_db()
    assert change.state == ChangeState.TRIPPED
    assert change.waits_for.startswith("The approval expired")
    assert states(change)[State.QUEUED] == 1
    assert AuditEvent.objects.get(action="change.tripped").data["not_started"] == 1
