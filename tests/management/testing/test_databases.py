"""The databases of the tests themselves: what is committed in one is not seen in the next."""

import os
import threading

import psycopg
import pytest
from django.db import connection

from fleet.models import Heartbeat
from tests.support.databases import CommittedDatabase


@pytest.mark.parametrize("turn", ["first", "second"])
def test_commits_of_one_test_are_gone_in_the_next(committed_db: CommittedDatabase, turn: str) -> None:
    assert not Heartbeat.objects.filter(name="mark").exists()

    Heartbeat.objects.create(name="mark", at="2026-01-01T00:00:00Z", note=turn)

    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        assert other.execute("SELECT note FROM fleet_heartbeat").fetchall() == [(turn,)]


def test_threads_see_the_same_database(committed_db: CommittedDatabase) -> None:
    seen = []

    def look() -> None:
        seen.append(Heartbeat.objects.filter(name="mark").count())
        connection.close()

    Heartbeat.objects.create(name="mark", at="2026-01-01T00:00:00Z")
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert seen == [1]


@pytest.mark.django_db
def test_rolled_back_tests_use_the_migrated_database_of_their_process(worker_id: str) -> None:
    assert connection.settings_dict["NAME"] == f"test_fleet_{worker_id}"
    assert not Heartbeat.objects.exists()
