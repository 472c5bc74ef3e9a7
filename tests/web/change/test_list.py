"""The list of changes: which are shown to whom, in which view, and on which page."""

import re
from typing import Any

import pytest
from django.test import Client

from fleet.models import Account, Change, Role, User
from tests.support.people import account, change, machine, person, replacement, signed_in

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


def shown(client: Client, **query: Any) -> list[int]:
    page = client.get("/changes", query).text
    return [int(pk) for pk in re.findall(r'<th scope="row" class="wrap"><a class="plain" href="/changes/(\d+)">', page)]


def test_open_ones_come_first_and_all_are_a_click_away(prod: Account, operator: User, client: Client) -> None:
    draft = change(operator, [machine(prod, 1)], state="draft")
    running = change(operator, [machine(prod, 2)], state="running")
    done = change(operator, [machine(prod, 3)], state="finished")
    assert shown(client) == [running.pk, draft.pk]
    assert shown(client, view="all") == [done.pk, running.pk, draft.pk]
    assert shown(client, view="nonsense") == [running.pk, draft.pk]


def test_mine_and_waiting_for_me(prod: Account, operator: User, client: Client) -> None:
    reviewer = person("reviewer", Role.APPROVER)
    asked = change(operator, [machine(prod, 1)], state="in_review")
    ready = change(operator, [machine(prod, 2)], state="approved")
    assert shown(client, view="mine") == [ready.pk, asked.pk]
    assert shown(client, view="waiting") == [ready.pk]
    assert shown(signed_in(reviewer), view="waiting") == [asked.pk]
    assert shown(signed_in(reviewer), view="mine") == []


def test_views_carry_their_counts(prod: Account, operator: User, client: Client) -> None:
    change(operator, [machine(prod, 1)], state="draft")
    change(operator, [machine(prod, 2)], state="rejected")
    page = re.sub(r"<[^>]+>", "", client.get("/changes").text)
    for words in ("Open 1", "Mine 2", "Waiting for me 0", "All 2"):
        assert words in page


def test_nothing_of_machines_that_one_may_not_see(prod: Account, operator: User) -> None:
    change(operator, [machine(prod, 1, environment="prod")])
    viewer = signed_in(person("viewer", Role.VIEWER, environment="staging"))
    assert shown(viewer, view="all") == []
    assert "0</span>" in viewer.get("/changes").text


def test_progress_is_told_in_numbers(prod: Account, operator: User, client: Client) -> None:
    few = [machine(prod, number) for number in range(3)]
    one = change(operator, few, state="running")
    Change.objects.filter(pk=one.pk).update(started_at=one.created_at)
    replacement(one, few[0], "done", "succeeded")
    replacement(one, few[1], "stopping")
    replacement(one, few[2], "queued")
    page = client.get("/changes").text
    assert '<progress value="1" max="3"' in page
    assert "1 of 3" in page


def test_older_ones_are_on_the_next_page(prod: Account, operator: User, client: Client) -> None:
    made = [change(operator, [machine(prod, number)], state="draft").pk for number in range(30)]
    assert shown(client) == sorted(made, reverse=True)[:25]
    link = re.findall(r'href="\?([^"]*before=(\d+)[^"]*)" rel="next"', client.get("/changes").text)[0]
    assert shown(client, before=link[1]) == sorted(made, reverse=True)[25:]
    assert "Newest" in client.get(f"/changes?{link[0]}").text


def test_the_list_costs_the_same_for_one_and_for_many(
    prod: Account, operator: User, client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(27):
        change(operator, [machine(prod, number)], state="draft")
    with django_assert_max_num_queries(12):
        client.get("/changes")


@pytest.mark.parametrize("view", ["open", "mine", "waiting", "all"])
def test_an_empty_view_says_what_to_do_next(client: Client, view: str) -> None:
    page = client.get("/changes", {"view": view}).text
    assert "No change here" in page
    assert "Tick machines on the page Instances" in page or "Nothing waits for you" in page


def test_each_state_has_a_page(prod: Account, operator: User, client: Client) -> None:
    states = [
        "checking",
        "in_review",
        "approved",
        "running",
        "paused",
        "tripped",
        "finished",
        "rejected",
        "cancelled",
        "expired",
    ]
    for number, state in enumerate(states):
        one = change(operator, [machine(prod, number)], state=state)
        if state in ("running", "paused", "tripped", "finished"):
            Change.objects.filter(pk=one.pk).update(started_at=one.created_at)
            ended = {"done": "succeeded"} if state == "finished" else {"queued": ""}
            for at, outcome in ended.items():
                replacement(one, one.targets.get().instance, at, outcome)
        page = client.get(f"/changes/{one.pk}")
        assert page.status_code == 200, state
        assert one.title in page.text
    assert client.get("/changes/999999").status_code == 404
