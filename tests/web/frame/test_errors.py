"""Error pages: sentences with the next step, for people and for htmx, and nothing secret on them."""

import json
import logging

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.test import Client, RequestFactory
from django.urls import path

from fleet import urls
from fleet.models import Role
from fleet.web.frame import errors
from tests.support.people import person, signed_in

pytestmark = pytest.mark.django_db


def _broken(request: object) -> None:
    secret = "Sw0rdfish-in-a-local"
    raise RuntimeError(f"could not use {secret}")


def _denied(request: object) -> None:
    raise PermissionDenied("Only an approver decides.")


def _odd(request: object) -> None:
    raise SuspiciousOperation("odd")


@pytest.fixture(autouse=True)
def views(monkeypatch: pytest.MonkeyPatch, settings: object) -> None:
    more = [path("test/broken", _broken), path("test/denied", _denied), path("test/odd", _odd)]
    module = type("urls_with_failures", (), {"urlpatterns": [*more, *urls.urlpatterns]})
    for name in ("handler400", "handler403", "handler404", "handler500"):
        setattr(module, name, getattr(urls, name))
    settings.ROOT_URLCONF = module  # type: ignore[attr-defined]


@pytest.fixture
def client() -> Client:
    client = signed_in(person("viewer", Role.VIEWER))
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/nowhere", 404, "There is nothing here"),
        ("/test/denied", 403, "Only an approver decides. Nothing was changed."),
        ("/test/odd", 400, "This request cannot be read"),
        ("/test/broken", 500, "The server failed to answer"),
    ],
)
def test_each_error_is_a_sentence_with_a_way_on(client: Client, address: str, status: int, said: str) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert said in answer.text
    assert "Go to the overview" in answer.text


def test_a_failure_shows_a_reference_that_the_log_has_and_no_secret(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.get("/test/broken")
    reference = answer.text.split("Reference <code>")[1].split("<")[0]
    assert f"reference {reference}" in caplog.text
    assert "Sw0rdfish" not in answer.text
    assert "Traceback" not in answer.text


def test_a_failure_asks_the_database_for_nothing(rf: RequestFactory, django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert errors.failed(rf.get("/")).status_code == 500


@pytest.mark.parametrize(("address", "status"), [("/nowhere", 404), ("/test/denied", 403), ("/test/broken", 500)])
def test_htmx_gets_the_sentence_as_a_toast_and_no_page(client: Client, address: str, status: int) -> None:
    answer = client.get(address, headers={"HX-Request": "true"})
    assert answer.status_code == status
    assert answer.content == b""
    told = json.loads(answer["HX-Trigger"])["toast"]
    assert told["status"] == "bad"
    assert told["text"].endswith(".")


def test_a_form_without_its_token_is_out_of_date_and_says_so() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person("viewer", Role.VIEWER))
    answer = strict.post("/sign-out")
    assert answer.status_code == 403
    assert "This form is out of date" in answer.text
    assert "Nothing was changed." in answer.text
