"""Selections and near omissions as use cases."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from fleet.changes.drafting import selection
from fleet.changes.drafting.omissions import Omission
from fleet.changes.drafting.selection import SelectionRequest
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.models import Change, Instance, MachineLock, Role, Selection, User
from tests.support.people import account, change, machine, person

pytestmark = pytest.mark.django_db
NOW = DatabaseClock()


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def machines() -> list[Instance]:
    prod = account()
    return [machine(prod, n) for n in range(6)]


def choose(owner: User, tab: uuid.UUID, **asked: Any) -> selection.SelectionResult:
    return selection.update_selection(
        owner=owner, selection=tab, asked=SelectionRequest(**asked), visible=Instance.objects.present(), now=NOW.now()
    )


def test_what_a_page_did_not_show_stays(operator: User, machines: list[Instance]) -> None:
    tab, (a, b, c, *_) = uuid.uuid4(), [one.pk for one in machines]
    choose(operator, tab, shown=frozenset({a, b}), ticked=frozenset({a, b, c}))
    assert Selection.objects.get().instances == [a, b]  # c was not on the page
    choose(operator, tab, shown=frozenset({b, c}), ticked=frozenset({c}))
    assert Selection.objects.get().instances == [a, c]


def test_an_empty_selection_makes_no_row(operator: User, machines: list[Instance]) -> None:
    choose(operator, uuid.uuid4(), shown=frozenset({machines[0].pk}))
    choose(operator, uuid.uuid4(), clear=True)
    assert not Selection.objects.exists()


def test_a_machine_that_vanished_stays_selected_and_is_left_out_when_drafted(
    operator: User, machines: list[Instance]
) -> None:
    tab, (a, b, *_) = uuid.uuid4(), [one.pk for one in machines]
    choose(operator, tab, add=frozenset({a, b}))
    Instance.objects.filter(pk=a).update(gone_at=NOW.now())
    picked = choose(operator, tab).after
    assert picked == {a, b}
    made = selection.draft_selected(actor=operator, instance_pks=picked, now=NOW.now())
    assert list(made.targets.values_list("instance_id", flat=True)) == [b]
    assert list(made.left_out.values_list("instance_id", "code")) == [(a, "gone")]


def test_somebody_elses_selection_is_refused(operator: User, machines: list[Instance]) -> None:
    tab = uuid.uuid4()
    choose(operator, tab, add=frozenset({machines[0].pk}))
    with pytest.raises(Refused) as refused:
        choose(person("other", Role.OPERATOR), tab, clear=True)
    assert refused.value.kind == "forbidden"


def test_misses_are_kept_once_and_forgotten_with_the_selection(operator: User, machines: list[Instance]) -> None:
    tab = uuid.uuid4()
    choose(operator, tab, add=frozenset({machines[0].pk}), omissions=(Omission("unknown", "first", named="x"),))
    choose(
        operator, tab, omissions=(Omission("unknown", "again", named="x"), Omission("gone", "gone", machines[1], "y"))
    )
    assert selection.omissions_of(tab) == [
        Omission("unknown", "again", named="x"),
        Omission("gone", "gone", Instance(pk=machines[1].pk), "y"),
    ]
    choose(operator, tab, clear=True)
    assert selection.omissions_of(tab) == []


def test_near_misses_have_their_reasons_and_the_first_one_counts(operator: User) -> None:
    prod = account()
    gone, foreign, locked, busy, plain = (machine(prod, n) for n in range(5))
    now = NOW.now()
    Instance.objects.filter(pk=gone.pk).update(gone_at=now)
    Instance.objects.filter(pk=foreign.pk).update(environment="dev")
    other = change(operator, [busy, locked])
    admin = person("admin", Role.ADMIN)
    until = now + timedelta(hours=1)
    MachineLock.objects.create(instance=locked, owner=admin, reason="audit.", at=now, expires_at=until)
    MachineLock.objects.create(instance=plain, owner=admin, reason="over", at=now, expires_at=now - timedelta(hours=1))
    actor = person("prod only", Role.OPERATOR, environment="prod")
    pks = [one.pk for one in (gone, foreign, locked, busy, plain)]
    wanted, omissions = selection.split_machines(actor=actor, instance_pks=pks, now=now)
    assert wanted == [plain]
    assert [(miss.instance, miss.code, miss.reason) for miss in omissions] == [
        (gone, "gone", f"Gone from the cloud since {now.day} {now:%b %Y}"),
        (foreign, "not_permitted", "You are no operator for account prod, environment dev"),
        (locked, "locked", f"Locked by admin until {until.day} {until:%b %Y, %H:%M} UTC: audit"),
        (busy, "open_elsewhere", f"In another open change, #{other.pk}"),
    ]


def test_nothing_is_refused_and_never_means_all(operator: User, machines: list[Instance]) -> None:
    with pytest.raises(Refused, match="No machine is selected"):
        selection.draft_selected(actor=operator, instance_pks=[], now=NOW.now())
    with pytest.raises(Refused, match="None of these machines can be changed now") as refused:
        selection.draft_selected(
            actor=person("viewer", Role.VIEWER), instance_pks=[one.pk for one in machines], now=NOW.now()
        )
    assert refused.value.kind == "forbidden"
    assert not Change.objects.exists()


def test_a_grant_counts_where_it_is_given() -> None:
    prod, other = account(), account("other")
    user = person("both", Role.OPERATOR, account=prod, environment="dev")
    may = selection.permitted(user, Role.OPERATOR)
    assert may.covers(machine(prod, 1, environment="dev"))
    assert not may.covers(machine(prod, 2))
    assert not may.covers(machine(other, 3, environment="dev"))
    assert (may.in_account(prod.pk), may.in_account(other.pk)) == (True, False)
