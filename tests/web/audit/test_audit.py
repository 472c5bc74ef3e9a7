"""The trail's page: state of the chain, filters, keyset pages, details, and exports."""

import csv
import hashlib
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from fleet.audit.trail import record
from fleet.audit.verify import GENESIS
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, AuditEvent, Instance, Role, User
from tests.support.people import account, change, machine, person, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor() -> User:
    return person("auditor", Role.AUDITOR)


@pytest.fixture
def client(auditor: User) -> Client:
    return signed_in(auditor)


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def one(prod: Account) -> Instance:
    return machine(prod, 1)


@pytest.fixture
def told(one: Instance, prod: Account) -> None:
    """Four events: a draft, its approval, a disk replaced, a refusal at the sign-in."""
    author, reviewer = person("operator", Role.OPERATOR), person("reviewer", Role.APPROVER)
    made = change(author, [one])
    record(action="change.drafted", subject=f"{made}", actor=author, change=made)
    states = {"before": {"state": "in_review", "digest": None}, "after": {"state": "approved", "digest": "ab12" * 16}}
    record(action="change.approved", subject=f"{made}", actor=reviewer, change=made, data={**states, "revision": 1})
    record(action="instance.disk_replaced", subject=one.name, change=made, instance=one, request_id="7B3A-1")
    record(action="person.sign_in_refused", subject="unknown name", actor_name="unknown name")


def _numbers(answer: Any) -> list[int]:
    return [int(number) for number in re.findall(r'id="event-(\d+)"', answer.text)]


def test_events_stand_newest_first_in_words(client: Client, told: None) -> None:
    answer = client.get("/audit")
    assert _numbers(answer) == [4, 3, 2, 1]
    assert re.search(r"approved <b>#\d+ Web tier to Ubuntu 24.04</b>", answer.text)
    assert "replaced the system disk of <b>web-0001</b>" in answer.text
    assert "7B3A-1" in answer.text


def test_details_show_before_and_after(client: Client, told: None) -> None:
    text = client.get("/audit", {"action": "change.approved"}).text
    assert re.search(r'<th scope="row">state</th><td>in_review</td><td>approved</td>', text)
    assert re.search(r'<th scope="row">digest</th><td>none</td><td>ab12…ab12</td>', text)
    assert re.search(r"<dt>revision</dt><dd>1</dd>", text)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"actor": "reviewer"}, [2]),
        ({"actor": "system"}, [3]),
        ({"action": "change"}, [2, 1]),
        ({"action": "change.drafted"}, [1]),
        ({"action": "no.such"}, []),
        ({"q": "web-0001"}, [3]),
        ({"q": "i-prod0001"}, [3]),
        ({"q": "7b3a-1"}, [3]),
        ({"q": "nothing"}, []),
        ({"change": "999999"}, []),
        ({"change": "x"}, []),
        ({"since": "not a day"}, []),
        ({"since": "2200-01-01"}, []),
        ({"until": "2020-01-01"}, []),
        ({"since": "2020-01-01"}, [4, 3, 2, 1]),
    ],
)
def test_each_part_of_the_filter_narrows_and_what_is_unknown_never_widens(
    client: Client, told: None, asked: dict[str, str], found: list[int]
) -> None:
    assert _numbers(client.get("/audit", asked)) == found


def test_a_change_is_found_by_its_number(client: Client, told: None) -> None:
    made = AuditEvent.objects.exclude(change=None).values_list("change", flat=True)[0]
    assert _numbers(client.get("/audit", {"change": made})) == [3, 2, 1]
    assert set(_numbers(client.get("/audit", {"q": f"#{made}"}))) >= {3, 2, 1}


def test_walking_to_older_events_shows_each_once_in_few_queries(
    client: Client, auditor: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(120):
        record(action="person.refused", subject=f"act {number}", actor=auditor)
    address, seen = "/audit?actor=auditor", []
    while address:
        with django_assert_max_num_queries(12):
            answer = client.get(address)
        seen += _numbers(answer)
        following = re.search(r'href="([^"]+)" rel="next"', answer.text)
        address = "/audit" + following[1].replace("&amp;", "&") if following else ""
    assert seen == list(range(120, 0, -1))


def test_htmx_gets_the_events_only(client: Client, told: None) -> None:
    answer = client.get("/audit", {"action": "change", "q": ""}, headers={"HX-Request": "true"})
    assert _numbers(answer) == [2, 1]
    assert "<html" not in answer.text
    assert answer["HX-Push-Url"] == "/audit?action=change"


def test_a_person_with_a_narrow_grant_reads_only_what_is_theirs(prod: Account, told: None) -> None:
    other = machine(prod, 2, environment="dev")
    record(action="instance.failed", subject=other.name, instance=other)
    dev = person("dev", Role.VIEWER, environment="dev")
    record(action="person.signed_in", subject="dev", actor=dev)
    assert _numbers(signed_in(dev).get("/audit")) == [6, 5]


def test_a_subject_is_text_and_never_markup(client: Client, auditor: User) -> None:
    record(action="person.refused", subject="<script>{0}{subject}</script>", actor=auditor)
    assert "<b>&lt;script&gt;{0}{subject}&lt;/script&gt;</b>" in client.get("/audit").text


# --- The chain.


def test_walking_the_chain_says_what_was_found_and_is_itself_an_event(client: Client, told: None) -> None:
    assert "The chain was not walked yet" in client.get("/audit").text
    answer = client.post("/audit/verify", headers={"HX-Request": "true"})
    assert "The chain is whole" in answer.text
    assert "4 events" in answer.text
    assert "<html" not in answer.text
    event = AuditEvent.objects.latest("number")
    assert (event.action, event.actor_name, event.data["whole"]) == ("audit.verified", "auditor", True)


def test_an_edit_behind_the_programs_back_is_found(client: Client, told: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE fleet_auditevent DISABLE TRIGGER fleet_audit_append_only")
        cursor.execute("UPDATE fleet_auditevent SET actor_name = 'somebody else' WHERE number = 2")
        cursor.execute("ALTER TABLE fleet_auditevent ENABLE TRIGGER fleet_audit_append_only")
    assert client.post("/audit/verify")["Location"] == "/audit"
    text = client.get("/audit").text
    assert "The chain is broken at event 2" in text
    assert "its fields differ from the text that was hashed" in text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER])
def test_only_auditors_and_administrators_walk_and_export(role: Role) -> None:
    client = signed_in(person("p", role))
    text = client.get("/audit").text
    assert "Walk it now" not in text
    assert "JSON Lines" not in text
    assert client.post("/audit/verify").status_code == 403
    assert client.get("/audit/export").status_code == 403


# --- Exports.


def test_json_lines_carry_what_it_takes_to_check_the_chain_offline(client: Client, told: None) -> None:
    answer = client.get("/audit/export", {"format": "jsonl"})
    assert answer["Content-Disposition"] == 'attachment; filename="audit-until-5.jsonl"'
    rows = [json.loads(line) for line in b"".join(answer).decode().splitlines()]  # type: ignore[call-overload]
    assert [row["number"] for row in rows] == [1, 2, 3, 4]
    previous = GENESIS
    for row in rows:
        assert row["previous_hash"] == previous
        previous = hashlib.sha256(f"{previous}\n{row['canonical']}".encode()).hexdigest()
        assert row["hash"] == previous


def test_csv_holds_what_the_filter_shows_and_no_formula(client: Client, told: None) -> None:
    record(action="person.refused", subject="=cmd()", actor_name="@odd")
    answer = client.get("/audit/export", {"format": "csv", "action": "person"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))  # type: ignore[call-overload]
    assert [(row["number"], row["subject"], row["actor_name"]) for row in rows] == [
        ("4", "unknown name", "unknown name"),
        ("5", "'=cmd()", "'@odd"),
    ]


def test_an_export_is_on_the_trail_before_its_first_line(client: Client, told: None) -> None:
    client.get("/audit/export", {"format": "csv", "actor": "operator"})
    event = AuditEvent.objects.latest("number")
    assert event.action == "audit.exported"
    assert event.data == {"format": "csv", "filters": {"actor": "operator"}}


def test_another_format_is_refused_and_not_recorded(client: Client) -> None:
    assert client.get("/audit/export", {"format": "exe"}).status_code == 400
    assert not AuditEvent.objects.exists()


def test_an_export_reads_batch_by_batch(client: Client, auditor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.web.audit.export.BATCH", 7)
    for number in range(30):
        record(action="person.refused", subject=f"act {number}", actor=auditor)
    answer = client.get("/audit/export", {"format": "jsonl"})
    assert len(b"".join(answer).splitlines()) == 30  # type: ignore[call-overload]


def test_events_of_a_day_stand_together_under_its_name(client: Client, auditor: User) -> None:
    record(action="person.refused", subject="now", actor=auditor)
    today = DatabaseClock().now()
    assert f"{today:%A} {today.day} {today:%B %Y}" in client.get("/audit").text
    assert f"{today + timedelta(days=1):%A}" not in client.get("/audit").text
