"""Saved and shared views over the list of machines."""

import re
from html import unescape

import pytest
from django.test import Client

from fleet.models import AuditEvent, Role, SavedView, User
from tests.support.people import CENTOS, account, machine, person, signed_in
from tests.web.instances.choosing import Tab, shown

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def client(operator: User) -> Client:
    prod = account()
    machine(prod, 1, tags={"service": "web"})
    machine(prod, 2, os_name=CENTOS, tags={"service": "db"})
    return signed_in(operator)


def save(client: Client, name: str, query: str, **other: str) -> str:
    answer = client.post("/instances/views", {"act": "save", "name": name, "query": query, **other})
    assert answer.status_code == 302
    return str(answer["Location"])


def test_a_view_keeps_the_filter_alone_and_shows_as_the_present_one(client: Client) -> None:
    where = save(client, " Old  ones ", "tag=service%3Ddb&os=CentOS+7&to=last&sort=-name&csrf=x")
    assert where == "/instances?os=CentOS+7&tag=service%3Ddb"
    answer = client.get(where)
    assert shown(answer) == ["web-0002"]
    assert 'aria-current="true">Old ones' in answer.text
    assert "The view Old ones is saved." in answer.text
    event = AuditEvent.objects.latest("number")
    assert (event.action, event.subject) == ("view.saved", "Old ones")


def test_the_same_name_again_replaces_the_own_view(client: Client) -> None:
    save(client, "mine", "q=1")
    save(client, "mine", "q=2", shared="on")
    view = SavedView.objects.get()
    assert (view.query, view.shared) == ("q=2", True)


def test_a_shared_view_is_shown_to_all_and_deleted_by_its_owner_alone(client: Client) -> None:
    save(client, "ours", "q=web", shared="on")
    save(client, "mine alone", "q=db")
    other = signed_in(person("other", Role.VIEWER))
    text = other.get("/instances").text
    assert "ours" in text
    assert "by operator" in text
    assert "mine alone" not in text
    view = SavedView.objects.get(name="ours")
    other.post("/instances/views", {"act": "delete", "view": view.pk})
    assert SavedView.objects.filter(pk=view.pk).exists()
    client.post("/instances/views", {"act": "delete", "view": view.pk})
    assert not SavedView.objects.filter(pk=view.pk).exists()
    assert AuditEvent.objects.latest("number").action == "view.deleted"


@pytest.mark.parametrize(
    ("name", "query", "said"),
    [
        ("", "q=web", "The view has no name."),
        ("n" * 81, "q=web", "The name is too long."),
        ("all", "sort=name", "Nothing is filtered: that is the view All."),
        ("long", "q=" + "x" * 2001, "The filter is too long to be saved."),
    ],
)
def test_what_cannot_be_saved_is_said(client: Client, name: str, query: str, said: str) -> None:
    assert said in client.get(save(client, name, query)).text
    assert not SavedView.objects.exists()


def test_a_view_that_nobody_has_is_not_deleted(client: Client) -> None:
    for odd in ("", "x", "9" * 30, "-1"):
        assert client.post("/instances/views", {"act": "delete", "view": odd}).status_code == 302


def test_saving_a_view_keeps_the_selection(client: Client) -> None:
    tab = Tab(client)
    tab.tick(tab.rows[0])
    tab.address = save(client, "mine", "q=web", selection=tab.selection)
    tab.reload()
    assert tab.selected == 1


@pytest.mark.parametrize("to", ["All", "mine", "Drop the filter", "Drop the filter of nothing"])
def test_what_was_ticked_since_the_page_came_stays_over_a_view_and_over_no_filter(client: Client, to: str) -> None:
    save(client, "mine", "q=web-0001")
    tab = Tab(client)
    if to.startswith("Drop"):
        tab.narrow(q="nothing-like-it" if "nothing" in to else "web-0002")
    links = re.findall(rf'<a(?: class="btn")? href="([^"]*)"[^>]*>{to.removesuffix(" of nothing")}', tab.text)
    tab.narrow()
    tab.tick(*tab.rows)  # the links of the page are still those from before
    for link in links:
        tab.address = unescape(link)
        tab.reload()
        assert tab.selected == 2
    assert len(links) == (2 if "nothing" in to else 1)


def test_links_name_no_selection_where_nothing_can_be_ticked(client: Client) -> None:
    viewer = signed_in(person("viewer", Role.VIEWER))
    assert "selection=" in client.get("/instances", {"q": "nothing-like-it"}).text
    assert "selection=" not in viewer.get("/instances", {"q": "nothing-like-it"}).text
