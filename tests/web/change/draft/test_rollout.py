"""The rollout, the window, the snapshot and the steps on the draft's page: what each comes to, in whole numbers."""

import re
from datetime import UTC, datetime

import pytest
from django.test import Client

from fleet.changes.drafting.settings import lacking
from fleet.guards.policy import Policy
from fleet.lib.clock import DatabaseClock
from fleet.models import Calendar, Change, Image, SealedSecret, Webhook
from tests.web.change.drafts import HTMX, live, typed, url

pytestmark = pytest.mark.django_db


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text.replace("&#x27;", "'"))).strip()


def follows(client: Client, draft: Change, form: dict[str, str]) -> str:
    return words(client.post(url("draft-follows", draft.pk), form, headers=HTMX).text)


def webhook(name: str, **fields: object) -> Webhook:
    secret = SealedSecret.objects.create(kind="webhook", fingerprint="f")
    return Webhook.objects.create(name=name, url="https://drain.example.com", secret=secret, **fields)


def test_waves_worst_case_and_forecast_are_said_in_whole_numbers(
    operator: Client, draft: Change, ubuntu: Image
) -> None:
    form = typed(ubuntu, canary="1", growth="fixed", wave_size="1", hold="timed", hold_minutes="90")
    said = follows(operator, draft, form)
    assert "Waves 3 × 1" in said
    assert "at most 2 of 3 lost before it stops by itself, at failure 2; in the canary 1" in said
    assert "a canary of 1, held for 90 min, then waves of 1" in said
    hold = re.search(r"Forecast about (\d+) minutes", said)
    without = re.search(r"Forecast about (\d+) minutes", follows(operator, draft, form | {"hold": "none"}))
    assert hold and without and int(hold[1]) - int(without[1]) == 90


def test_no_wave_holds_two_machines_with_one_value_of_the_spread_tag(
    operator: Client, draft: Change, ubuntu: Image
) -> None:
    for target in draft.targets.select_related("instance"):
        target.instance.tags = target.instance.tags | {"rack": "r1" if target.position < 2 else "r2"}
        target.instance.save()
    page = operator.get(url("draft", draft.pk)).text
    assert '<option value="rack">rack</option>' in page
    assert "Waves 2 → 1" in follows(operator, draft, typed(ubuntu, spread_tag="rack"))
    answer = live(operator, draft, "spread_tag", typed(ubuntu, spread_tag="colour"))
    assert "No machine has this tag. Choose one from the list." in answer.text


@pytest.mark.parametrize(
    ("field", "form", "said"),
    [
        ("canary", {"canary": "x"}, "This is no whole number."),
        ("canary", {"canary": "3"}, "The canary takes all 3 machines."),
        ("canary_failures", {"canary": "2", "canary_failures": "4"}, "The whole change stops at failure 2 already."),
        ("hold", {"hold": "person"}, "There is no canary to hold after."),
        ("hold_minutes", {"hold": "timed", "canary": "1"}, "The hold has no length."),
        ("hold_minutes", {"hold_minutes": "99999"}, "Too many: enter 10,080 or less."),
        ("growth", {"growth": "spiral"}, "This is none of the choices."),
        ("wave_size", {"growth": "fixed"}, "The waves have no size."),
        ("wave_failures", {"wave_failures": "-2"}, "Too few: enter 0 or more."),
        ("skips_allowed", {"skips_allowed": "1.5"}, "This is no whole number."),
        ("force_stop_minutes", {"force_stop_minutes": "1441"}, "Too many: enter 1,440 or less."),
        ("before_text", {"before_kind": "command"}, "The command is empty."),
        ("after_webhook", {"after_kind": "webhook"}, "No webhook is chosen."),
        ("after_webhook", {"after_kind": "webhook", "after_webhook": "7"}, "This webhook is not registered for steps."),
        ("before_timeout", {"before_timeout": "9"}, "Too few: enter 10 or more."),
        ("calendar", {"calendar": "7"}, "This calendar is not in use."),
        ("not_after", {"not_after": "2020-01-01T00:00"}, "This time has passed."),
        ("not_after", {"not_before": "2126-01-02T00:00", "not_after": "2126-01-01T00:00"}, "It ends before it begins."),
        ("not_before", {"not_before": "tomorrow"}, "This is no date with a time."),
        ("ticket", {"ticket": "CHG 7"}, "This is no address."),
        ("snapshot_days", {"snapshot": "on", "snapshot_days": ""}, "Enter for how many days it is kept."),
        ("title", {"title": "x" * 121}, "This has 121 characters, and 120 is the most."),
    ],
)
def test_each_field_says_what_is_wrong_with_it(
    operator: Client, draft: Change, ubuntu: Image, field: str, form: dict[str, str], said: str
) -> None:
    assert said in words(live(operator, draft, field, typed(ubuntu, **form)).text)


def test_everything_chosen_is_saved_and_shown_again(operator: Client, draft: Change, ubuntu: Image) -> None:
    calendar = Calendar.objects.create(name="Weeknights", open_by_default=False)
    Calendar.objects.create(name="Freeze", open_by_default=True)
    hook = webhook("drain", purpose="step")
    news = webhook("chat", purpose="news")
    form = typed(
        ubuntu, snapshot="on", snapshot_days="30", canary="1", hold="person", growth="ramp", wave_failures="1",
        force_stop_minutes="15", before_kind="webhook", before_webhook=str(hook.pk), before_timeout="120",
        after_kind="command", after_text="systemctl is-system-running", calendar=str(calendar.pk),
        not_before="2126-01-01T22:00", not_after="2126-01-02T04:00", ticket="https://t.example.com/1",
        rollback_plan="Ask the web team.",
    )  # fmt: skip
    assert operator.post(url("draft", draft.pk), form).status_code == 302
    draft.refresh_from_db()
    policy = Policy.of(draft.policy)
    assert (policy.canary, policy.hold, policy.growth, policy.wave_failures) == (1, "person", "ramp", 1)
    assert policy.before and (policy.before.kind, policy.before.webhook, policy.before.timeout) == (
        "webhook",
        hook.pk,
        120,
    )
    assert policy.after and policy.after.text == "systemctl is-system-running"
    assert (draft.snapshot_days, draft.calendar_id, draft.rollback_plan) == (30, calendar.pk, "Ask the web team.")
    assert draft.not_before == datetime(2126, 1, 1, 22, tzinfo=UTC)
    page = operator.get(url("draft", draft.pk)).text
    for shown in (
        'value="2126-01-01T22:00"',
        f'<option value="{calendar.pk}" selected>Weeknights',
        "Ask the web team.",
    ):
        assert shown in page
    assert "Freeze" not in page
    assert f'<option value="{news.pk}">' not in page
    assert "each machine for 30 days" in words(page)
    assert "while “Weeknights” is open" in words(page)


def test_a_submit_asks_again_for_what_has_gone_meanwhile(operator: Client, draft: Change, ubuntu: Image) -> None:
    calendar = Calendar.objects.create(name="Weeknights", open_by_default=False)
    hook = webhook("drain", purpose="step")
    form = typed(ubuntu, calendar=str(calendar.pk), before_kind="webhook", before_webhook=str(hook.pk))
    assert operator.post(url("draft", draft.pk), form).status_code == 302
    Calendar.objects.update(active=False)
    Webhook.objects.update(active=False)
    draft.refresh_from_db()
    assert [field for field, _ in lacking(draft, DatabaseClock().now())] == ["before_webhook", "calendar"]
    answer = operator.post(url("draft-submit", draft.pk), form)
    assert answer.status_code == 422
    assert "This calendar is not in use." in answer.text


def test_without_a_snapshot_nothing_can_be_undone_and_with_one_it_takes_longer(
    operator: Client, draft: Change, ubuntu: Image
) -> None:
    assert "Undo none: no snapshot is taken" in follows(operator, draft, typed(ubuntu))
    answer = live(operator, draft, "snapshot", typed(ubuntu, snapshot="on", snapshot_days="14"))
    assert "Each machine can be put back for 14 days. It takes about 3 min longer" in words(answer.text)
    assert "Undo each machine for 14 days" in follows(operator, draft, typed(ubuntu, snapshot="on", snapshot_days="14"))
