"""GET /healthz, for load balancers and for people in trouble."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client

from fleet.lib.clock import DatabaseClock
from fleet.models import Heartbeat
from fleet.web.frame import health
from tests.support.people import account

pytestmark = pytest.mark.django_db


def test_it_tells_of_database_worker_and_mirror_without_a_sign_in() -> None:
    account()
    Heartbeat.objects.create(name="tick", at=DatabaseClock().now() - timedelta(seconds=5))
    answer = Client().get("/healthz")
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    told = answer.json()
    assert told["database"] == "ok"
    assert told["worker"]["state"] == "ok"
    assert 5 <= told["worker"]["last_tick_age_s"] < 60
    assert told["mirror"]["regions"] == 2
    assert 10 <= told["mirror"]["age_s"] < 60


def test_a_worker_that_never_ticked_is_told_apart_from_a_late_one() -> None:
    assert Client().get("/healthz").json()["worker"] == {"last_tick_age_s": None, "state": "never"}
    Heartbeat.objects.create(name="tick", at=DatabaseClock().now() - timedelta(minutes=10))
    assert Client().get("/healthz").json()["worker"]["state"] == "late"


def test_a_silent_database_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def now(self) -> None:
            raise OperationalError("connection to server at 10.0.0.1 failed")

    monkeypatch.setattr(health, "DatabaseClock", Silent)
    answer = Client().get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "away"
    assert "10.0.0.1" not in answer.text
