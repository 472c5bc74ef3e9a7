"""Ticking machines across pages, filters and tabs: what the screen says is what a draft is made of."""

from datetime import timedelta

import pytest
from django.test import Client

from fleet.changes.drafting import selection
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, AuditEvent, Change, Instance, Role, Selection, User
from fleet.web.instances import listing
from tests.support.people import account, change, machine, person, signed_in
from tests.web.instances.choosing import HTMX, Tab, drafted

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def client(operator: User) -> Client:
    return signed_in(operator)


@pytest.fixture
def sixty(prod: Account) -> list[Instance]:
    return [machine(prod, n) for n in range(60)]


@pytest.mark.parametrize("script", [True, False], ids=["htmx", "plain"])
def test_ticks_stay_over_pages_filters_and_a_reload(client: Client, sixty: list[Instance], script: bool) -> None:
    tab = Tab(client, script=script)
    tab.tick(sixty[0].pk, sixty[1].pk)
    assert tab.turn("next")
    tab.tick(sixty[30].pk)
    tab.narrow(q="web-0059")
    tab.tick(sixty[59].pk)
    tab.narrow()
    tab.tick(sixty[1].pk, on=False)
    tab.press()
    tab.reload()
    assert (tab.selected, tab.elsewhere, tab.ticks) == (3, 2, {sixty[0].pk})
    answer = tab.change()
    assert answer.status_code == 302
    assert drafted() == {sixty[n].pk for n in (0, 30, 59)}


def test_all_matching_is_resolved_on_the_server_and_frozen(
    client: Client, prod: Account, sixty: list[Instance]
) -> None:
    tab = Tab(client)
    tab.tick(sixty[0].pk)
    tab.narrow(q="web-001")
    tab.press(act="all")
    assert tab.selected == 11
    machine(prod, 118, name="web-0018-new")  # matches, and came later
    tab.tick(sixty[12].pk, on=False)
    assert tab.selected == 10
    tab.change()
    assert drafted() == {sixty[n].pk for n in (0, 10, 11, 13, 14, 15, 16, 17, 18, 19)}


def test_all_matching_says_when_the_number_is_no_longer_that_of_the_page(
    client: Client, prod: Account, sixty: list[Instance]
) -> None:
    tab = Tab(client)
    machine(prod, 99)
    tab.press(act="all")
    assert "61 machines match now, no longer 60; all are selected." in tab.text
    assert tab.selected == 61


def test_more_than_a_change_holds_is_not_selected_and_the_rest_stays(
    client: Client, sixty: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_MACHINES", 50)
    monkeypatch.setattr(selection, "MOST_MACHINES", 50)
    tab = Tab(client)
    tab.tick(sixty[3].pk)
    tab.press(act="all")
    assert (tab.status, tab.selected) == (422, 1)
    assert "60 machines match, and a change holds at most 50." in tab.text


def test_a_tick_too_many_is_answered_with_the_list_as_it_is_saved(
    client: Client, sixty: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MOST_MACHINES", 2)
    tab = Tab(client)
    tab.tick(sixty[0].pk, sixty[1].pk)
    form = tab.form | {"act": "tick", "instance": [one.pk for one in sixty[:3]]}
    answer = client.post("/instances", form, headers=HTMX)
    assert (answer.status_code, answer["HX-Retarget"]) == (422, "#results")
    assert "3 machines would be selected, and a change holds at most 2." in answer.text
    assert answer.text.count(" checked>") == 2


def test_clear_empties_the_selection_of_this_tab_alone(client: Client, sixty: list[Instance]) -> None:
    one, other = Tab(client), Tab(client)
    one.tick(sixty[0].pk)
    other.tick(sixty[1].pk)
    one.press(act="clear")
    other.press()
    assert (one.selected, other.selected) == (0, 1)


def test_nothing_selected_is_refused_with_a_sentence_and_keeps_the_filter(
    client: Client, sixty: list[Instance]
) -> None:
    tab = Tab(client, script=False)
    tab.narrow(q="web-001")
    answer = tab.change()
    assert answer.status_code == 422
    assert "No machine is selected. Tick the machines" in answer.text
    assert 'value="web-001"' in answer.text
    assert not Change.objects.exists()


def test_a_selection_changed_in_a_copy_of_the_tab_is_shown_before_it_is_drafted(
    client: Client, sixty: list[Instance]
) -> None:
    tab = Tab(client)
    tab.tick(sixty[0].pk)
    tab.turn("next")
    copy = Tab(client)
    copy.address = tab.address
    copy.reload()
    copy.turn("previous")
    copy.tick(sixty[5].pk)
    answer = tab.change()
    assert answer.status_code == 409
    assert "changed in another tab" in answer.text
    assert not Change.objects.exists()
    tab.read(answer)
    assert tab.selected == 2
    assert tab.change().status_code == 302
    assert drafted() == {sixty[0].pk, sixty[5].pk}


def test_who_cannot_be_changed_now_is_left_out_with_the_reason(
    client: Client, operator: User, prod: Account, sixty: list[Instance]
) -> None:
    gone, busy, plain = sixty[:3]
    other = change(operator, [busy])
    tab = Tab(client)
    tab.tick(gone.pk, busy.pk, plain.pk)
    Instance.objects.filter(pk=gone.pk).update(gone_at=DatabaseClock().now())
    assert tab.change().status_code == 302
    made = Change.objects.latest("pk")
    assert list(made.targets.values_list("instance_id", flat=True)) == [plain.pk]
    reasons = dict(made.left_out.values_list("instance_id", "reason"))
    assert reasons[gone.pk].startswith("Gone from the cloud since ")
    assert reasons[busy.pk] == f"In another open change, #{other.pk}"
    event = AuditEvent.objects.latest("number")
    assert (event.action, event.data) == ("change.drafted", {"machines": 1, "left_out": 2})


def test_no_draft_is_made_of_machines_that_are_all_left_out(
    client: Client, operator: User, sixty: list[Instance]
) -> None:
    other = change(operator, sixty[:1])
    tab = Tab(client)
    tab.tick(sixty[0].pk)
    answer = tab.change()
    assert answer.status_code == 409
    assert f"None of these machines can be changed now. In another open change, #{other.pk}." in answer.text


def test_what_one_may_not_see_or_change_is_not_selected_or_not_drafted(prod: Account) -> None:
    mine, seen, hidden = machine(prod, 1, environment="dev"), machine(prod, 2), machine(account("other"), 3)
    user = person("dev", Role.OPERATOR, environment="dev")
    user.grants.create(role=Role.VIEWER, account=prod)
    client = signed_in(user)
    tab = Tab(client)
    form = {"instance": [mine.pk, seen.pk, hidden.pk, "x", "9" * 30], "shown": f"{mine.pk},{seen.pk},{hidden.pk},x"}
    client.post("/instances", tab.form | form, headers=HTMX)
    assert set(Selection.objects.get().instances) == {mine.pk, seen.pk}
    tab.address = f"/instances?selection={tab.selection}"
    tab.reload()
    tab.change()
    made = Change.objects.get()
    assert list(made.targets.values_list("instance_id", flat=True)) == [mine.pk]
    assert list(made.left_out.values_list("code", "instance_id")) == [("not_permitted", seen.pk)]


def test_a_machine_that_vanished_since_the_page_was_shown_is_not_selected(
    client: Client, sixty: list[Instance]
) -> None:
    for script in (True, False):
        tab = Tab(client, script=script)
        Instance.objects.filter(pk=sixty[0].pk).update(gone_at=DatabaseClock().now())
        tab.tick(sixty[0].pk, sixty[1].pk)
        tab.press()
        assert (tab.selected, tab.ticks) == (1, {sixty[1].pk})
        Instance.objects.filter(pk=sixty[0].pk).update(gone_at=None)


def test_somebody_elses_selection_is_neither_shown_nor_changed(client: Client, sixty: list[Instance]) -> None:
    tab = Tab(client)
    tab.tick(sixty[0].pk)
    other = signed_in(person("other", Role.OPERATOR))
    answer = other.get(f"/instances?selection={tab.selection}")
    assert tab.selection not in answer.text
    form = tab.form | {"instance": [sixty[1].pk]}
    other.post("/instances", form, headers=HTMX)
    assert Selection.objects.get(pk=tab.selection).instances == [sixty[0].pk]


def test_a_selection_that_nobody_touched_for_a_day_is_gone(client: Client, sixty: list[Instance]) -> None:
    old = Tab(client)
    old.tick(sixty[0].pk)
    Selection.objects.update(touched_at=DatabaseClock().now() - timedelta(hours=25))
    assert Selection.objects.filter(pk=old.selection).exists()
    Tab(client).tick(sixty[1].pk)
    assert not Selection.objects.filter(pk=old.selection).exists()


def test_all_matching_can_be_added_unless_they_all_are_picked_already(client: Client, sixty: list[Instance]) -> None:
    tab = Tab(client)
    tab.narrow(q="web-0007")
    tab.press(act="all")
    assert "act-all" not in tab.text
    tab.narrow(q="web-0008")  # as many match as are picked, and it is another one
    assert "Select all 1 matching" in tab.text
    tab.press(act="all")
    assert tab.selected == 2
    assert "act-all" not in tab.text
