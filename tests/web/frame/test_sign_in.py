"""Signing in and out, what is recorded of it, and how guessing is slowed down."""

from datetime import timedelta

import pytest
from django.test import Client

from fleet.models import AuditEvent, Role, User
from fleet.web.frame import sign_in
from fleet.web.frame.sign_in import TRIES, WITHIN
from tests.support.people import PASSWORD, person, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


def _trail() -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("number").values_list("action", "actor_name"))


def test_it_signs_in_goes_where_one_came_from_and_records_it(operator: User) -> None:
    answer = Client().post("/sign-in", {"username": "operator", "password": PASSWORD, "next": "/instances?q=web"})
    assert (answer.status_code, answer["Location"]) == (302, "/instances?q=web")
    assert _trail() == [("person.signed_in", "operator")]


@pytest.mark.parametrize("elsewhere", ["https://example.com/", "//example.com", "javascript:alert(1)"])
def test_it_never_follows_next_to_another_site(operator: User, elsewhere: str) -> None:
    answer = Client().post("/sign-in", {"username": "operator", "password": PASSWORD, "next": elsewhere})
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_a_wrong_password_gets_a_sentence_with_the_tries_left_and_is_recorded(operator: User) -> None:
    answer = Client().post("/sign-in", {"username": "operator", "password": "no such thing"})
    assert answer.status_code == 422
    assert "Name and password do not fit together. 4 more tries, then this name waits 15 min." in answer.text
    assert 'value="operator"' in answer.text
    assert "no such thing" not in answer.text
    assert _trail() == [("person.sign_in_refused", "operator")]


def test_a_name_that_is_no_account_is_not_written_down_for_it_may_be_a_password() -> None:
    answer = Client().post("/sign-in", {"username": "hunter2hunter2", "password": "x"})
    assert "do not fit together. 4 more tries" in answer.text
    event = AuditEvent.objects.get()
    assert (event.actor_name, event.subject) == ("unknown name", "unknown name")
    assert "hunter2" not in event.canonical


def test_after_five_tries_even_the_right_password_has_to_wait(operator: User) -> None:
    client = Client()
    for _ in range(TRIES):
        refused = client.post("/sign-in", {"username": "operator", "password": "wrong"})
    assert "wait 15 min" in refused.text
    answer = client.post("/sign-in", {"username": "operator", "password": PASSWORD})
    assert answer.status_code == 422
    assert "Too many tries with this name from this address: wait 15 min" in answer.text
    # Being told to wait is no further try.
    assert AuditEvent.objects.filter(data__counts=True).count() == TRIES


def test_the_wait_is_for_that_name_and_that_address_only(operator: User) -> None:
    person("reviewer", Role.APPROVER)
    client = Client()
    for _ in range(TRIES):
        client.post("/sign-in", {"username": "operator", "password": "wrong"})
    reviewer = {"username": "reviewer", "password": PASSWORD}
    assert client.post("/sign-in", reviewer).status_code == 302
    other_place = Client(REMOTE_ADDR="203.0.113.7")
    assert other_place.post("/sign-in", {"username": "operator", "password": PASSWORD}).status_code == 302


def test_the_wait_ends_after_a_quarter_of_an_hour(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    for _ in range(TRIES):
        client.post("/sign-in", {"username": "operator", "password": "wrong"})
    clock = sign_in.DatabaseClock(WITHIN + timedelta(seconds=1))
    monkeypatch.setattr(sign_in, "DatabaseClock", lambda: clock)
    assert client.post("/sign-in", {"username": "operator", "password": PASSWORD}).status_code == 302


def test_a_success_gives_all_tries_back(operator: User) -> None:
    client = Client()
    for _ in range(TRIES - 1):
        client.post("/sign-in", {"username": "operator", "password": "wrong"})
    client.post("/sign-in", {"username": "operator", "password": PASSWORD})
    answer = Client().post("/sign-in", {"username": "operator", "password": "wrong"})
    assert "4 more tries" in answer.text


@pytest.mark.parametrize(("field", "said"), [("username", "Name is missing."), ("password", "Password is missing.")])
def test_what_is_missing_is_named_and_is_no_try(operator: User, field: str, said: str) -> None:
    fields = {"username": "operator", "password": PASSWORD} | {field: ""}
    answer = Client().post("/sign-in", fields)
    assert answer.status_code == 422
    assert said in answer.text
    assert not AuditEvent.objects.exists()


def test_an_account_that_was_switched_off_looks_like_a_wrong_password(operator: User) -> None:
    User.objects.update(is_active=False)
    answer = Client().post("/sign-in", {"username": "operator", "password": PASSWORD})
    assert "Name and password do not fit together." in answer.text


def test_signing_out_is_a_post_ends_the_session_and_is_recorded(operator: User) -> None:
    client = signed_in(operator)
    assert client.get("/sign-out").status_code == 405
    assert client.post("/sign-out")["Location"] == "/sign-in"
    assert client.get("/")["Location"] == "/sign-in?next=/"
    assert _trail() == [("person.signed_out", "operator")]


def test_who_is_signed_in_already_is_sent_on(operator: User) -> None:
    assert signed_in(operator).get("/sign-in")["Location"] == "/"
