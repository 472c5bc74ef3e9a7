"""The trail numbers, chains and keeps; whoever edits it is found."""

import pytest
from django.db import DatabaseError, connection, transaction

from fleet.audit.trail import UnknownAction, event, record, record_all
from fleet.audit.verify import verify
from fleet.models import AuditEvent, AuditHead

pytestmark = pytest.mark.django_db


def write(number: int) -> None:
    for place in range(number):
        record(action="mirror.asked", subject=f"pass {place}", data={"place": place, "nested": {"ä": [1, None, "x"]}})


def without_triggers(sql: str) -> None:
    """Do what only the owner of the database can: edit behind the triggers' back."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql)
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_it_numbers_and_chains_whatever_the_writer_sends() -> None:
    forged = event(action="mirror.asked", subject="one")
    forged.number, forged.hash, forged.previous_hash = 4711, "f" * 64, "e" * 64
    forged.save(force_insert=True)
    record_all([event(action="mirror.asked", subject="two"), event(action="mirror.asked", subject="three")])

    rows = list(AuditEvent.objects.order_by("number"))

    assert [row.number for row in rows] == [1, 2, 3]
    assert rows[0].previous_hash == "0" * 64
    assert rows[1].previous_hash == rows[0].hash
    assert AuditHead.objects.get().hash == rows[2].hash
    assert verify().whole


def test_the_row_that_comes_back_from_a_write_has_its_number() -> None:
    assert record(action="mirror.asked", subject="one").number == 1
    assert record(action="mirror.asked", subject="two").number == 2


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE fleet_auditevent SET subject = 'another' WHERE number = 1",
        "DELETE FROM fleet_auditevent WHERE number = 1",
        "TRUNCATE fleet_auditevent",
        "DELETE FROM fleet_audithead",
    ],
)
def test_the_database_refuses_edits(sql: str) -> None:
    write(2)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert verify().whole


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("UPDATE fleet_auditevent SET subject = 'another' WHERE number = 3", 3),
        ("UPDATE fleet_auditevent SET actor_name = 'somebody' WHERE number = 5", 5),
        ("UPDATE fleet_auditevent SET at = at + interval '1 microsecond' WHERE number = 2", 2),
        ("UPDATE fleet_auditevent SET canonical = canonical || ' ' WHERE number = 4", 4),
        ("UPDATE fleet_auditevent SET hash = repeat('a', 64) WHERE number = 4", 4),
        ("DELETE FROM fleet_auditevent WHERE number = 3", 3),
        ("DELETE FROM fleet_auditevent WHERE number = 6", 6),
    ],
)
def test_a_walk_finds_an_edit_behind_the_triggers(sql: str, number: int) -> None:
    write(6)
    without_triggers(sql)

    verdict = verify()

    assert not verdict.whole
    assert verdict.broken_at == number


def test_a_cut_tail_with_a_forged_head_is_found_by_a_head_kept_elsewhere() -> None:
    write(6)
    kept = {6: AuditHead.objects.get().hash}
    without_triggers("DELETE FROM fleet_auditevent WHERE number > 4")
    without_triggers(
        "UPDATE fleet_audithead SET number = 4, hash = (SELECT hash FROM fleet_auditevent WHERE number = 4)"
    )

    assert verify().whole, "a chain alone cannot see this"
    assert verify(expected=kept).broken_at == 6


def test_an_act_that_is_not_in_the_registry_is_not_recorded() -> None:
    with pytest.raises(UnknownAction):
        record(action="machine.exploded", subject="x")


def test_events_roll_back_with_their_act() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        record(action="mirror.asked", subject="one")
        raise RuntimeError
    assert not AuditEvent.objects.exists()
    assert AuditHead.objects.get().number == 0
