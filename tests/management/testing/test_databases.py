"""The databases of the tests themselves: what is committed in one is not seen in the next."""

import os
import threading

import psycopg
import pytest
from django.db import IntegrityError, connection
from pytest_django.plugin import DjangoDbBlocker

from fleet.models import Account, Heartbeat, Instance
from tests.support import databases, fleets
from tests.support.databases import CommittedDatabase, migrated_database
from tests.support.emulator import Emulator
from tests.support.mirrored import MirroredFleets


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


def _databases_of(run: str, url: str) -> dict[str, int]:
    """Return the databases of a run: names, and the numbers that PostgreSQL gave them as they were made."""
    with psycopg.connect(url) as other:
        found = other.execute("SELECT datname, oid FROM pg_database WHERE datname LIKE %s", [f"test_fleet_{run}_%"])
        return dict(found.fetchall())


@pytest.mark.django_db
def test_rolled_back_tests_use_the_migrated_database_of_their_process(testrun_uid: str, worker_id: str) -> None:
    assert connection.settings_dict["NAME"] == f"test_fleet_{testrun_uid[:12]}_{worker_id}"
    assert not Heartbeat.objects.exists()


def test_processes_of_a_run_share_a_template_and_the_last_one_drops_it(
    database_url: str, django_db_setup: None, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrated: list[str] = []

    def migrate(command: str, **options: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE made_by_migrate ()")
        migrated.append(command)

    monkeypatch.setattr(databases, "call_command", migrate)  # the real one has made the database of this process
    template, copies = "test_fleet_another_template", {"test_fleet_another_a", "test_fleet_another_b"}
    begun = connection.settings_dict["NAME"]

    with django_db_blocker.unblock():
        with migrated_database(run="another", worker="a"):
            made = _databases_of("another", database_url)[template]
            with migrated_database(run="another", worker="b"):
                assert connection.settings_dict["NAME"] == "test_fleet_another_b"
                assert "made_by_migrate" in connection.introspection.table_names()
                assert _databases_of("another", database_url).keys() == {template, *copies}
                assert _databases_of("another", database_url)[template] == made
            assert _databases_of("another", database_url).keys() == {template, "test_fleet_another_a"}
        assert not _databases_of("another", database_url)

    assert connection.settings_dict["NAME"] == begun
    assert migrated == ["migrate"]


@pytest.mark.parametrize("turn", ["first", "second"])
def test_what_a_test_does_to_the_mirrored_fleet_is_gone_in_the_next(fleet: Emulator, turn: str) -> None:
    assert Instance.objects.count() == fleet.call("GET", "health")["instances"] == 300
    assert not fleet.journal()
    assert not Instance.objects.filter(name="renamed").exists()

    Instance.objects.update(name="renamed")
    fleets.client_for(Account.objects.get(), "cn-hangzhou").describe_regions()


def test_a_reference_to_nothing_is_found_when_the_mirrored_fleet_is_left(
    db: None, emulator_here: Emulator, mirrored_fleets: MirroredFleets
) -> None:
    before = connection.settings_dict["NAME"]

    with pytest.raises(IntegrityError), mirrored_fleets.of(emulator_here, instances=300):
        assert connection.settings_dict["NAME"].startswith(f"{before}_")
        Instance.objects.update(account_id=4711)

    assert connection.settings_dict["NAME"] == before
    assert not Instance.objects.exists()
