"""The list of machines: who sees what, filter, order, pages, selection."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Instance, Role, SavedView, User
from tests.support.people import CENTOS, WINDOWS, account, change, machine, person, signed_in
from tests.web.instances.choosing import HTMX, Tab, shown

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


# --- Who sees what.


def test_a_grant_for_an_environment_shows_only_its_machines(prod: Account) -> None:
    machine(prod, 1)
    machine(prod, 2, environment="staging")
    assert shown(signed_in(person("p", Role.VIEWER, environment="staging")).get("/instances")) == ["web-0002"]


def test_a_grant_for_an_account_shows_only_its_machines(prod: Account) -> None:
    machine(prod, 1)
    machine(account("other"), 2)
    assert shown(signed_in(person("p", Role.VIEWER, account=prod)).get("/instances")) == ["web-0001"]


def test_without_a_grant_there_is_no_machine(prod: Account) -> None:
    machine(prod, 1)
    answer = signed_in(person("nobody")).get("/instances")
    assert shown(answer) == []
    assert "No machine yet" in answer.text


def test_machines_that_vanished_are_not_listed(client: Client, prod: Account) -> None:
    machine(prod, 1, gone_at=DatabaseClock().now())
    assert shown(client.get("/instances")) == []


def test_a_viewer_ticks_nothing(prod: Account) -> None:
    one = machine(prod, 1)
    viewer = signed_in(person("viewer", Role.VIEWER))
    assert 'name="instance"' not in viewer.get("/instances").text
    assert viewer.post("/instances", {"act": "change", "instance": one.pk}).status_code == 403


# --- Filter.


@pytest.fixture
def mixed(prod: Account) -> None:
    machine(prod, 1, tags={"service": "web"}, search="web-0001 10.0.0.1 service=web")
    machine(prod, 2, os_name=CENTOS, tags={"service": "db"}, search="web-0002 10.0.0.2 service=db")
    machine(prod, 3, os_name=WINDOWS, os_type="windows", region="cn-shanghai", environment="dev", status="Stopped")
    machine(prod, 4, locks=["security"], image_id="m-golden")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"q": "10.0.0.2"}, ["web-0002"]),
        ({"q": "WEB service=db"}, ["web-0002"]),
        ({"q": "100%"}, []),
        ({"region": "cn-shanghai"}, ["web-0003"]),
        ({"os": "CentOS 7"}, ["web-0002"]),
        ({"os_type": "windows"}, ["web-0003"]),
        ({"environment": "dev"}, ["web-0003"]),
        ({"tag": "service=db"}, ["web-0002"]),
        ({"tag": ["service", "env=prod"]}, ["web-0003", "web-0004"]),
        ({"tag": "service=d"}, []),
        ({"tag": [f"service={n}" for n in range(9)]}, []),
        ({"tag": "nul\x00"}, []),
        ({"status": "Stopped"}, ["web-0003"]),
        ({"account": "prod", "region": "cn-shanghai"}, ["web-0003"]),
        ({"support": "past"}, ["web-0002"]),
        ({"support": "safe", "status": "Running"}, ["web-0001", "web-0004"]),
        ({"locked": "yes"}, ["web-0004"]),
        ({"locked": "no", "region": "cn-hangzhou"}, ["web-0001", "web-0002"]),
        ({"zone": "cn-hangzhou-h", "os": "CentOS 7"}, ["web-0002"]),
        ({"type": "ecs.g7.large", "status": "Stopped"}, ["web-0003"]),
        ({"image": "m-golden"}, ["web-0004"]),
        ({"region": "cn-nowhere"}, []),
        ({"support": "no such"}, []),
        ({"region": "nul\x00"}, []),
        ({"q": "nul\x00"}, []),
    ],
)
def test_each_part_of_the_filter_narrows_and_what_is_unknown_never_widens(
    client: Client, mixed: None, asked: dict[str, Any], found: list[str]
) -> None:
    assert shown(client.get("/instances", asked)) == found


def test_the_choices_come_from_the_machines_that_one_may_see(prod: Account, mixed: None) -> None:
    values = signed_in(person("p", Role.VIEWER, environment="dev")).get("/instances").context["filter"].values
    assert (values["region"], values["os_type"]) == (["cn-shanghai"], ["windows"])


def test_machines_in_an_open_change_are_found_and_lead_there(client: Client, operator: User, prod: Account) -> None:
    machines = [machine(prod, n) for n in (1, 2)]
    made = change(operator, machines[:1])
    answer = client.get("/instances", {"busy": "yes"})
    assert shown(answer) == ["web-0001"]
    assert shown(client.get("/instances", {"busy": "no"})) == ["web-0002"]
    assert f"In change #{made.pk}" in answer.text
    assert f'href="{reverse("change", args=[made.pk])}"' in answer.text


def test_nothing_found_says_how_to_get_on(client: Client, mixed: None) -> None:
    answer = client.get("/instances", {"q": "nothing like it"})
    assert "No machine matches" in answer.text
    assert "Drop the filter" in answer.text


def test_htmx_gets_the_results_only_and_the_address_of_the_page(client: Client, mixed: None) -> None:
    answer = client.post("/instances", {"q": "web", "region": "cn-shanghai", "sort": "-name"}, headers=HTMX)
    assert "<html" not in answer.text
    assert answer["HX-Push-Url"] == "/instances?q=web&region=cn-shanghai&sort=-name"
    whole = client.get(answer["HX-Push-Url"], headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert "<html" in whole.text
    assert shown(whole) == shown(answer)


def test_without_javascript_the_filter_ends_in_an_address(client: Client, mixed: None) -> None:
    answer = client.post("/instances", {"q": "web", "region": ""})
    assert (answer.status_code, answer["Location"]) == (302, "/instances?q=web")


# --- Order and pages.


@pytest.fixture
def sixty(prod: Account) -> list[Instance]:
    # Equal sizes: the order within them must still be one order.
    return [machine(prod, n, disk_size=40 + 20 * (n % 2)) for n in range(60)]


@pytest.mark.parametrize("sort", ["name", "-name", "disk_size", "-disk_size"])
def test_walking_forth_and_back_shows_each_machine_once(client: Client, sixty: list[Instance], sort: str) -> None:
    pages, to = [], ""
    while True:
        answer = client.get("/instances", {"sort": sort, "to": to})
        pages.append(shown(answer))
        page = answer.context["page"]
        if not page.has_next:
            break
        to = f"next:{page.rows[-1].pk}:{page.first}"
    assert [len(page) for page in pages] == [25, 25, 10]
    assert len({name for page in pages for name in page}) == 60
    assert (page.first, page.last, page.total) == (51, 60, 60)
    back = client.get("/instances", {"sort": sort, "to": f"previous:{page.rows[0].pk}:{page.first}"})
    assert shown(back) == pages[1]
    assert (back.context["page"].first, back.context["page"].has_next) == (26, True)
    assert shown(client.get("/instances", {"sort": sort, "to": "last"})) == pages[2]


def test_the_size_of_a_page_is_one_of_three(client: Client, sixty: list[Instance]) -> None:
    assert len(shown(client.get("/instances", {"size": "50"}))) == 50
    assert len(shown(client.get("/instances", {"size": "5000"}))) == 25


def test_an_unknown_order_or_place_is_the_first_page(client: Client, sixty: list[Instance]) -> None:
    for odd in ({"sort": "account__credential"}, {"to": "next:999999999:26"}, {"to": "nonsense"}):
        assert shown(client.get("/instances", odd))[0] == "web-0000"


@pytest.mark.parametrize("to", ["", "next:{}:26", "last"])
def test_the_number_of_queries_is_constant(
    client: Client, sixty: list[Instance], to: str, django_assert_max_num_queries: Any
) -> None:
    tab = Tab(client)
    tab.tick(sixty[3].pk)
    SavedView.objects.create(owner=User.objects.get(), name="mine", query="q=web", at=DatabaseClock().now())
    with django_assert_max_num_queries(12):
        data = {"to": to.format(sixty[30].pk), "selection": tab.selection, "size": "50", "tag": "env=prod"}
        assert client.get("/instances", data).status_code == 200
