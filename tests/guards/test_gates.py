"""The gates before the irreversible call: each of them closes it by itself, and what cannot be read counts as closed."""

from datetime import timedelta

import pytest

from fleet.guards import approvals, calendars, gates
from fleet.models import Calendar, Change, ChangeState, MachineLock, Replacement
from tests.changes.review import forms
from tests.changes.review.forms import NOON, World

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def here(db: None) -> World:
    return forms.world()


def hours(name: str, *, opens: bool, until: float) -> Calendar:
    """Return a calendar with an entry from an hour before noon to `until` hours after it; `opens`: open by default."""
    made = Calendar.objects.create(name=name, open_by_default=opens)
    made.entries.create(title="Quiet", starts_at=NOON - HOUR, ends_at=NOON + until * HOUR)
    return made


def gate(row: Replacement, here: World) -> str:
    """Ask as the engine does, a moment before the irreversible call."""
    change = Change.objects.get(pk=row.change_id)
    return gates.closed(row, change, row.account, approvals.approved_leaves(change, here.now), here.now)


def test_every_gate_closes_one_machine(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    nights = hours("Now", opens=False, until=3)
    change = forms.approved(here, calendar=nights)
    forms.start(here, change)
    row, other = Replacement.objects.select_related("instance", "target", "account").order_by("pk")[:2]
    assert gate(row, here) == ""
    MachineLock.objects.create(instance=row.instance, owner=here.second, reason="Backup runs.", at=here.now)
    assert gate(row, here) == "second locked the machine: Backup runs."
    assert gate(other, here) == ""
    frozen = hours("Frozen", opens=True, until=1)
    assert gate(other, here).startswith("Frozen by Frozen")
    frozen.delete()
    here.clock.advance(3 * 3600)
    assert gate(other, here).startswith("The approval has expired")
    Change.objects.filter(pk=change.pk).update(approved_until=NOON + 80 * HOUR)
    assert gate(other, here).startswith("No valid approval")
    here.clock.moment = NOON
    monkeypatch.setattr(calendars, "guards_of", lambda *_: 1 / 0)
    assert gate(other, here) == "Calendars and kill switch could not be read."


def test_too_few_valid_approvals_close_the_gate(here: World) -> None:
    change = forms.approved(here)
    assert len(approvals.approved_leaves(change, here.now)) == 4
    assert approvals.approved_leaves(change, here.now + 72 * HOUR) == frozenset()
    change.contributors.create(user=here.reviewer, revision=1)
    assert approvals.approved_leaves(change, here.now) == frozenset()


def test_the_account_and_the_state_of_the_change_close_the_gate(here: World) -> None:
    change = forms.approved(here)
    forms.start(here, change)
    row = Replacement.objects.select_related("instance", "target", "account").order_by("pk")[0]
    change.refresh_from_db()
    leaves = approvals.approved_leaves(change, here.now)
    assert gates.closed(row, change, row.account, leaves, here.now) == ""
    row.account.executes = False
    assert "is in observe" in gates.closed(row, change, row.account, leaves, here.now)
    row.account.executes, row.account.guard_lifted, row.instance.tags = True, False, {}
    assert "does not carry the tag" in gates.closed(row, change, row.account, leaves, here.now)
    row.account.guard_lifted = True
    for state in ChangeState:
        change.state = state
        assert bool(gates.closed(row, change, row.account, leaves, here.now)) is not change.is_under_way


@pytest.mark.parametrize(
    "moved_on", [{"approvals_needed": 2}, {"revision": 2}, {"round": 2}, {"spec_digest": "0" * 64}], ids=repr
)
def test_an_approval_is_for_one_form_of_the_change(here: World, moved_on: dict[str, object]) -> None:
    change = forms.approved(here)
    for name, value in moved_on.items():
        setattr(change, name, value)
    assert approvals.approved_leaves(change, here.now) == frozenset()
