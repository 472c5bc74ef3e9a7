"""Freezes and windows around a change: what closes it, when it may start, what is missed, what starts by itself."""

from datetime import timedelta
from typing import Any

import pytest

from fleet.changes.review import deciding
from fleet.changes.review.requirements import Requirement, assess
from fleet.changes.running import scheduling
from fleet.guards.window import may_begin, may_start, window_of
from fleet.lib.refused import Refused
from fleet.models import AuditEvent, Calendar, Change, ChangeState, Grant, Role
from tests.changes.review import forms
from tests.changes.review.forms import NOON, World
from tests.support import people

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def here(db: None) -> World:
    return forms.world()


def calendar(
    name: str = "Year's end", *, opens: bool = True, start: float = -1, end: float = 1, repeats: str = "", **fields: Any
) -> Calendar:
    """Return a calendar with one entry, from `start` to `end` in hours from noon; `opens`: open by default."""
    made = Calendar.objects.create(name=name, open_by_default=opens, **fields)
    made.entries.create(title="Quiet", starts_at=NOON + start * HOUR, ends_at=NOON + end * HOUR, repeats=repeats)
    return made


def listed(here: World, change: Change) -> dict[str, Requirement]:
    return {each.code: each for each in assess(change, here.reviewer, here.now).requirements}


def state(change: Change) -> str:
    return Change.objects.values_list("state", flat=True).get(pk=change.pk)


@pytest.mark.parametrize(
    ("scope", "frozen"),
    [
        ({}, True),
        ({"environment": "prod"}, True),
        ({"environment": "lab"}, False),
        ({"region": "cn-hangzhou"}, True),
        ({"region": "cn-beijing"}, False),
        ({"region": "cn-hangzhou", "environment": "lab"}, False),
        ({"active": False}, False),
        ({"start": 1, "end": 2}, False),
    ],
)
def test_a_freeze_holds_for_the_machines_in_its_scope(here: World, scope: dict[str, object], frozen: bool) -> None:
    change = forms.asked(here)
    calendar(**scope)  # type: ignore[arg-type]
    found = listed(here, change)["freeze"]
    assert (found.ok, found.kind) == (not frozen, "note")
    forms.approve(here, change)
    if frozen:
        with pytest.raises(Refused, match=r"Frozen by Year's end \(Quiet\) until 13:00 UTC"):
            forms.start(here, change)
        here.clock.advance(3600)
    forms.start(here, change)


def test_a_freeze_of_another_account_is_nothing_to_this_one(here: World) -> None:
    calendar(account=people.account("lab"))
    forms.start(here, forms.approved(here))


def test_one_frozen_machine_freezes_the_change_until_it_is_removed(here: World) -> None:
    change = forms.asked(here, [*here.machines, people.machine(here.account, 50, environment="lab")])
    calendar(environment="lab")
    forms.approve(here, change)
    change.refresh_from_db()
    assert "Frozen" in may_start(change, here.now)
    change.targets.get(instance__environment="lab").delete()
    assert may_start(change, here.now) == ""


def test_a_window_that_is_named_opens_only_then(here: World) -> None:
    window = calendar("Nights", opens=False, start=10, end=14, repeats="daily")
    change = forms.approved(here, calendar=window)
    with pytest.raises(Refused, match="Outside the hours of Nights: it opens 22:00 UTC"):
        forms.start(here, change)
    here.clock.advance(10 * 3600)
    forms.start(here, change)


def test_a_window_that_is_required_holds_for_all_in_its_scope(here: World) -> None:
    calendar("Nights", opens=False, start=10, end=14, repeats="daily", required=True, environment="prod")
    with pytest.raises(Refused, match="Outside the hours"):
        forms.start(here, forms.approved(here))
    other = forms.approved(here, machines=[people.machine(here.account, 50, environment="lab")])
    forms.start(here, other)


def test_the_last_start_is_the_end_less_the_forecast(here: World) -> None:
    change = forms.approved(here, not_after=NOON + 2 * HOUR)
    window = window_of(change, here.now)
    assert window.last_start == NOON + 2 * HOUR - timedelta(seconds=window.seconds)
    here.clock.moment = window.last_start + timedelta(seconds=1)
    with pytest.raises(Refused, match="Start it at the next opening"):
        forms.start(here, change)
    here.clock.advance(-2)
    forms.start(here, change)


def test_a_machine_begins_only_where_it_is_done_before_the_end(here: World) -> None:
    change = forms.approved(here, not_after=NOON + 2 * HOUR)
    one = window_of(change, here.now).seconds_a_machine
    latest = NOON + 2 * HOUR - timedelta(seconds=one)
    assert may_begin(change, latest) == ""
    assert "none begins" in may_begin(change, latest + timedelta(seconds=1))
    assert "had to end" in may_begin(change, NOON + 2 * HOUR)


def test_a_change_longer_than_every_window_goes_on_in_the_next(here: World) -> None:
    nights = calendar("Nights", opens=False, start=0, end=0.1, repeats="daily")
    change = forms.approved(here, calendar=nights, policy={"max_in_flight": 1, "failures_allowed": 0})
    window = window_of(change, here.now)
    assert window.seconds > 360 > window.seconds_a_machine
    assert window.spans
    forms.start(here, change)
    assert "Outside the hours" in may_begin(change, NOON + HOUR)
    assert may_begin(change, NOON + 24 * HOUR) == ""


def test_a_calendar_that_cannot_be_read_is_closed(here: World) -> None:
    change = forms.approved(here)
    broken = calendar(start=5, end=6, time_zone="Mars/Olympus")
    with pytest.raises(Refused, match="cannot be asked: Mars/Olympus is no time zone"):
        forms.start(here, change)
    Calendar.objects.filter(pk=broken.pk).update(time_zone="UTC")
    forms.start(here, change)


def test_a_named_calendar_that_is_switched_off_is_closed(here: World) -> None:
    change = forms.approved(here, calendar=calendar("Nights", opens=False))
    Calendar.objects.update(active=False)
    with pytest.raises(Refused, match="switched off"):
        forms.start(here, change)


def test_a_missed_window_expires_the_change_approved_or_not(here: World) -> None:
    window = calendar("Tonight", opens=False, start=10, end=14)
    waiting = forms.asked(here, here.machines[:2], calendar=window)
    ready = forms.approved(here, machines=here.machines[2:], calendar=window)
    assert ready.approved_until == NOON + 14 * HOUR
    here.clock.advance(14 * 3600 - 1)
    assert deciding.expire_approvals(here.now) == 0
    here.clock.advance(1)
    assert deciding.expire_approvals(here.now) == 2
    assert state(waiting) == state(ready) == ChangeState.EXPIRED
    with pytest.raises(Refused):
        forms.approve(here, waiting, here.second)


def test_hours_that_are_over_are_approved_by_nobody(here: World) -> None:
    change = forms.asked(here, calendar=calendar("Today", opens=False, start=-2, end=-1))
    with pytest.raises(Refused, match="hours are over"):
        forms.approve(here, change)


def test_only_a_planned_start_happens_by_itself(here: World) -> None:
    nights = calendar("Nights", opens=False, start=10, end=14, repeats="daily")
    alone = forms.approved(here, machines=here.machines[:2], calendar=nights)
    planned = forms.approved(here, machines=here.machines[2:], calendar=nights)
    scheduling.schedule(actor=here.author, change_id=planned.pk, at=None, now=here.now)
    assert scheduling.start_due(here.now) == 0
    here.clock.advance(10 * 3600)
    assert scheduling.start_due(here.now) == 1
    assert (state(planned), state(alone)) == (ChangeState.RUNNING, ChangeState.APPROVED)
    planned.refresh_from_db()
    assert planned.started_by == here.author


def test_an_approval_that_comes_late_starts_nothing(here: World) -> None:
    change = forms.asked(here)
    with pytest.raises(Refused, match="not approved"):
        scheduling.schedule(actor=here.author, change_id=change.pk, at=NOON + HOUR, now=here.now)
    here.clock.advance(2 * 3600)
    forms.approve(here, change)
    assert scheduling.start_due(here.now) == 0
    assert state(change) == ChangeState.APPROVED


def test_a_planned_start_that_was_missed_is_not_made_up_for(here: World) -> None:
    nights = calendar("Nights", opens=False, start=10, end=14, repeats="daily")
    change = forms.approved(here, calendar=nights)
    scheduling.schedule(actor=here.author, change_id=change.pk, at=None, now=here.now)
    here.clock.advance(34.5 * 3600)  # the next night, half an hour into the window
    assert scheduling.start_due(here.now) == 0
    assert state(change) == ChangeState.EXPIRED
    assert "was missed" in AuditEvent.objects.get(action="change.expired").data["why"]


def test_what_is_in_the_way_of_a_planned_start_is_said_once_and_waited_for(here: World) -> None:
    change = forms.approved(here)
    scheduling.schedule(actor=here.author, change_id=change.pk, at=NOON + HOUR, now=here.now)
    calendar(start=0, end=1.5)
    here.clock.advance(3600)
    for _ in range(3):
        assert scheduling.start_due(here.now) == 0
    change.refresh_from_db()
    assert "Frozen" in change.waits_for
    assert AuditEvent.objects.filter(action="change.start_waits").count() == 1
    here.clock.advance(1800)
    assert scheduling.start_due(here.now) == 1


def test_a_planner_who_lost_the_role_starts_nothing(here: World) -> None:
    change = forms.approved(here)
    scheduling.schedule(actor=here.author, change_id=change.pk, at=NOON + HOUR, now=here.now)
    Grant.objects.filter(user=here.author).update(role=Role.VIEWER)
    here.clock.advance(3600)
    assert scheduling.start_due(here.now) == 0
    here.clock.advance(3601)
    assert scheduling.start_due(here.now) == 0
    assert state(change) == ChangeState.EXPIRED


def test_a_planner_who_was_deactivated_starts_nothing(here: World) -> None:
    change = forms.approved(here)
    scheduling.schedule(actor=here.author, change_id=change.pk, at=NOON + HOUR, now=here.now)
    here.author.is_active = False
    here.author.save()
    here.clock.advance(3600)

    assert scheduling.start_due(here.now) == 0
    change.refresh_from_db()
    assert change.state == ChangeState.APPROVED
    assert "was deactivated. Start it yourself, or plan it anew." in change.waits_for


def test_when_a_start_cannot_be_planned(here: World) -> None:
    change = forms.approved(here, not_after=NOON + 5 * HOUR)
    calendar(start=2, end=3)
    for at, words in (
        (NOON, "has passed"),
        (NOON + 2.5 * HOUR, "Frozen"),
        (NOON + 4.99 * HOUR, "would end before"),
        (NOON + 6 * HOUR, "approval holds until"),
        (None, "open now"),
    ):
        with pytest.raises(Refused, match=words):
            scheduling.schedule(actor=here.author, change_id=change.pk, at=at, now=here.now)
    scheduling.schedule(actor=here.author, change_id=change.pk, at=NOON + 4 * HOUR, now=here.now)
    scheduling.unschedule(actor=here.author, change_id=change.pk, now=here.now)
    with pytest.raises(Refused, match="No start is planned"):
        scheduling.unschedule(actor=here.author, change_id=change.pk, now=here.now)
    with pytest.raises(Refused, match="role operator"):
        scheduling.schedule(actor=here.reviewer, change_id=change.pk, at=NOON + HOUR, now=here.now)
