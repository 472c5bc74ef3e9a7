"""The rules that hold for everybody: calendars, rules of approval, the kill switch, webhooks; who may set them."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fleet.models import (
    Account,
    AuditEvent,
    Calendar,
    CalendarEntry,
    Change,
    KillSwitch,
    QuorumRule,
    Role,
    User,
    Webhook,
)
from tests.support.people import account, change, person, signed_in

pytestmark = pytest.mark.django_db
PAGES = ("settings-calendars", "settings-quorum", "settings-kill", "settings-notices")
FREEZE = {"name": "Year end", "kind": "freezes", "time_zone": "Asia/Shanghai", "environment": "prod"}
RULE = {"name": "Many", "approvals": "2", "machines_at_least": "1,000", "active": "on"}
HOOK = {"name": "chat", "url": "https://hooks.example.com/x", "purpose": "news"}


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def admin(prod: Account) -> Client:
    return signed_in(person("admin", Role.ADMIN))


@pytest.fixture
def operator(prod: Account) -> Client:
    return signed_in(person("operator", Role.OPERATOR))


def url(name: str, *args: Any) -> str:
    return reverse(name, args=args)


@pytest.mark.parametrize("name", PAGES)
def test_everybody_reads_and_only_an_administrator_is_offered_to_change(
    admin: Client, operator: Client, name: str
) -> None:
    assert operator.get(url(name)).status_code == 200
    assert admin.get(url(name)).status_code == 200
    if name != "settings-kill":
        assert "Add a" in admin.get(url(name)).text
        assert "Add a" not in operator.get(url(name)).text


@pytest.mark.parametrize(
    ("name", "form"), [("settings-calendars", FREEZE), ("settings-quorum", RULE), ("settings-notices", HOOK)]
)
def test_a_forged_change_of_a_rule_is_403_and_on_the_trail(operator: Client, name: str, form: dict[str, str]) -> None:
    answer = operator.post(url(name), form)
    assert answer.status_code == 403
    assert "needs the role administrator" in answer.text
    assert not Calendar.objects.exists()
    assert not QuorumRule.objects.exists()
    assert not Webhook.objects.exists()
    assert AuditEvent.objects.get(action="person.refused").actor_name == "operator"


# --- Calendars.


def test_a_freeze_is_added_in_the_hours_of_its_zone_and_the_page_says_what_comes_next(admin: Client) -> None:
    assert admin.post(url("settings-calendars"), FREEZE).status_code == 302
    calendar = Calendar.objects.get()
    assert (calendar.open_by_default, calendar.environment, calendar.active) == (True, "prod", True)
    entry = {"title": "Holidays", "starts_at": "2099-12-20T22:00", "ends_at": "2100-01-05T08:00", "repeats": ""}
    assert admin.post(url("settings-entries", calendar.pk), entry).status_code == 302
    row = CalendarEntry.objects.get()
    assert row.starts_at == datetime(2099, 12, 20, 14, 0, tzinfo=UTC)
    page = admin.get(url("settings-calendar", calendar.pk)).text
    assert "Sun 20 Dec 2099, 22:00" in page
    assert "open now" in page
    shown = admin.get(url("settings-entry", calendar.pk, row.pk)).text
    assert 'value="2099-12-20T22:00"' in shown
    acts = AuditEvent.objects.filter(action__startswith="calendar.").order_by("number").values_list("action", flat=True)
    assert list(acts) == ["calendar.added", "calendar.entry_added"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"name": ""}, "Name is missing."),
        ({"time_zone": "Mars/North"}, "Mars/North is no time zone"),
        ({"kind": "party"}, "Select a valid choice"),
        ({"region": "cn-atlantis"}, "none of the choices any more"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_422_and_keeps_what_was_typed(
    admin: Client, typed: dict[str, str], words: str
) -> None:
    answer = admin.post(url("settings-calendars"), FREEZE | {"environment": "staging"} | typed)
    assert answer.status_code == 422
    assert words in answer.text
    assert 'value="staging"' in answer.text
    assert not Calendar.objects.exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"title": " "}, "missing"),
        ({"ends_at": "2026-12-01T10:00"}, "It ends before it starts."),
        ({"starts_at": "soon"}, "This is no date with a time."),
        ({"repeats": "daily", "ends_at": "2026-12-05T10:00"}, "longer than the time after which it repeats"),
        ({"repeats": "weekly", "until": "2026-11-01T00:00"}, "would end before its first time"),
        ({"repeats": "hourly"}, "Select a valid choice"),
    ],
)
def test_an_entry_that_makes_no_sense_is_422(admin: Client, typed: dict[str, str], words: str) -> None:
    admin.post(url("settings-calendars"), FREEZE)
    calendar = Calendar.objects.get()
    entry = {"title": "Holidays", "starts_at": "2026-12-01T22:00", "ends_at": "2026-12-02T08:00", "repeats": ""}
    answer = admin.post(url("settings-entries", calendar.pk), entry | typed)
    assert answer.status_code == 422
    assert words in answer.text
    assert not CalendarEntry.objects.exists()


def test_a_calendar_that_a_change_names_is_switched_off_and_not_removed(admin: Client) -> None:
    admin.post(url("settings-calendars"), {"name": "Nights", "kind": "openings", "time_zone": "UTC", "required": "on"})
    calendar = Calendar.objects.get()
    assert calendar.required
    change(person("author", Role.OPERATOR), [], state="draft", calendar=calendar)
    answer = admin.post(url("settings-calendar-remove", calendar.pk))
    assert answer.status_code == 409
    assert "Switch it off instead." in answer.text
    assert admin.post(url("settings-calendar", calendar.pk), {"name": "Nights", "time_zone": "UTC"}).status_code == 302
    calendar.refresh_from_db()
    assert not calendar.active
    assert AuditEvent.objects.get(action="calendar.changed").data == {
        "active": [True, False],
        "required": [True, False],
    }
    Change.objects.update(calendar=None)
    assert admin.post(url("settings-calendar-remove", calendar.pk)).status_code == 302
    assert not Calendar.objects.exists()


def test_an_administrator_of_one_account_rules_over_that_account_alone(prod: Account) -> None:
    client = signed_in(person("local", Role.ADMIN, account=prod))
    assert client.post(url("settings-calendars"), FREEZE).status_code == 403
    assert client.post(url("settings-calendars"), FREEZE | {"account": str(prod.pk)}).status_code == 302


# --- Rules of approval.


def test_a_rule_is_added_changed_and_removed(admin: Client) -> None:
    assert admin.post(url("settings-quorum"), RULE).status_code == 302
    rule = QuorumRule.objects.get()
    assert (rule.approvals, rule.machines_at_least, rule.active) == (2, 1000, True)
    assert "1,000 machines or more" in admin.get(url("settings-quorum")).text
    changed = RULE | {"approvals": "3", "os_family_change": "on"}
    assert admin.post(url("settings-rule", rule.pk), changed).status_code == 302
    told = AuditEvent.objects.get(action="quorum_rule.changed").data
    assert told["approvals"] == [2, 3]
    assert admin.post(url("settings-rule-remove", rule.pk)).status_code == 302
    assert admin.post(url("settings-rule-remove", rule.pk)).status_code == 409


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"approvals": "0"}, "Too few"),
        ({"approvals": "11"}, "Too many"),
        ({"approvals": "two"}, "no whole number"),
        ({"name": ""}, "Name is missing."),
        ({"name": "Taken"}, "There is a rule Taken already."),
    ],
)
def test_a_rule_that_makes_no_sense_is_422(admin: Client, typed: dict[str, str], words: str) -> None:
    QuorumRule.objects.create(name="Taken", approvals=2)
    answer = admin.post(url("settings-quorum"), RULE | typed)
    assert answer.status_code == 422
    assert words in answer.text
    assert QuorumRule.objects.count() == 1


# --- Kill switch.


def test_the_kill_switch_is_pressed_with_a_word_and_stands_on_every_page(admin: Client, operator: Client) -> None:
    form = {"account": "", "region": "", "reason": "Something is wrong", "confirm": "yes"}
    answer = operator.post(url("settings-kill"), form)
    assert answer.status_code == 422
    assert "This is not the word." in answer.text
    assert not KillSwitch.objects.exists()
    assert operator.post(url("settings-kill"), form | {"confirm": "Stop"}).status_code == 302
    for page in ("overview", "inbox", "changes", "settings-quorum"):
        said = admin.get(url(page)).text
        assert "The kill switch is on everywhere" in said
        assert "Something is wrong" in said
    poll = admin.get(url("fresh"), headers={"HX-Request": "true"}).text
    assert 'id="stopped"' in poll
    assert 'hx-swap-oob="true"' in poll
    press = KillSwitch.objects.get()
    lift = url("settings-lift", press.pk)
    assert lift not in operator.get(url("settings-kill")).text
    assert operator.post(lift, {"reason": "fine", "confirm": "go on"}).status_code == 403
    assert admin.post(lift, {"reason": "", "confirm": "go on"}).status_code == 422
    assert admin.post(lift, {"reason": "It is mended", "confirm": "go on"}).status_code == 302
    assert re.search(r'id="stopped"[^>]* hidden', admin.get(url("overview")).text)
    assert admin.post(lift, {"reason": "again", "confirm": "go on"}).status_code == 409


def test_who_has_no_part_in_changes_presses_nothing(prod: Account) -> None:
    auditor = signed_in(person("auditor", Role.AUDITOR))
    answer = auditor.post(url("settings-kill"), {"reason": "x", "confirm": "stop"})
    assert answer.status_code == 403
    assert not KillSwitch.objects.exists()


# --- Webhooks and e-mail.


def test_the_secret_of_a_webhook_is_shown_once(admin: Client) -> None:
    answer = admin.post(url("settings-notices"), HOOK | {"events": ["change.finished"]})
    assert answer.status_code == 200
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", answer.text)
    assert secret is not None
    assert answer["Cache-Control"] == "no-store"
    assert secret[0] not in admin.get(url("settings-notices")).text
    assert Webhook.objects.get().events == ["change.finished"]


def test_a_test_message_waits_and_is_listed(admin: Client, operator: Client) -> None:
    admin.post(url("settings-notices"), HOOK)
    hook = Webhook.objects.get()
    assert operator.post(url("settings-webhook", hook.pk, "test")).status_code == 403
    assert admin.post(url("settings-webhook", hook.pk, "test")).status_code == 302
    page = admin.get(url("settings-notices")).text
    assert re.search(r"<td>test</td><td>chat</td>.*waits", page, re.S)
    assert admin.post(url("settings-webhook", hook.pk, "off")).status_code == 302
    assert admin.post(url("settings-webhook", hook.pk, "test")).status_code == 409
    assert admin.post(url("settings-webhook", hook.pk, "explode")).status_code == 404
    assert admin.post(url("settings-webhook", hook.pk, "remove")).status_code == 302
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("address", ["http://hooks.example.com/", "https://", "https://a:b@hooks.example.com/"])
def test_an_address_that_takes_no_message_is_422_at_its_field(admin: Client, address: str) -> None:
    answer = admin.post(url("settings-notices"), HOOK | {"url": address})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert not Webhook.objects.exists()


def test_everybody_switches_their_own_mail(operator: Client) -> None:
    assert operator.post(url("settings-mail"), {"on": "no"}).status_code == 302
    assert not User.objects.get(username="operator").mail_news
    assert operator.post(url("settings-mail"), {"on": "yes"}).status_code == 302
    assert User.objects.get(username="operator").mail_news
