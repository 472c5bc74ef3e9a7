"""Who is told of what: the audit trail is the outbox, and nothing is lost or told twice."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.urls import reverse

from fleet.administration import webhooks
from fleet.audit.actions import ACTIONS
from fleet.audit.trail import record
from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.lib.refused import Refused
from fleet.models import AuditEvent, Change, Delivery, Role, SealedSecret, User, Webhook
from fleet.notices import composing
from fleet.notices.composing import EVENTS, NEWS, announce
from tests.support.people import account, change, machine, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(DatabaseClock().now() + timedelta(seconds=5))


@pytest.fixture
def admin() -> User:
    return person("admin", Role.ADMIN)


@pytest.fixture
def asked() -> Change:
    """A change in review by the operator, of two machines."""
    prod, author = account(), person("operator", Role.OPERATOR)
    return change(author, [machine(prod, 1), machine(prod, 2)], title="Web tier")


@pytest.fixture
def posted(settings: LazySettings) -> None:
    """A server that sends e-mail (the test's backend keeps it)."""
    settings.MAIL_ON = True


def hook(admin: User, *events: str, name: str = "chat") -> Webhook:
    url = "https://hooks.example.com/fleet"
    return webhooks.add_webhook(actor=admin, name=name, purpose="news", url=url, events=list(events))[0]


def happened(action: str, one: Change, actor: User | None = None, **data: Any) -> None:
    record(action=action, subject=str(one), change=one, actor=actor, data=data)


def mailed(user: User) -> User:
    user.email = f"{user.username}@example.com"
    user.save()
    return user


def told() -> list[tuple[str, str]]:
    rows = Delivery.objects.select_related("webhook", "person").order_by("event", "webhook__name", "person__username")
    return [(row.event, str(row.webhook or row.person)) for row in rows]


def test_every_kind_of_news_is_an_act_of_the_trail() -> None:
    assert set(NEWS) <= set(ACTIONS)
    assert "change.in_review" in EVENTS


def test_each_webhook_gets_what_it_asked_for_once(admin: User, asked: Change, clock: ManualClock) -> None:
    hook(admin)
    hook(admin, "change.finished", name="tickets")
    webhooks.add_webhook(actor=admin, name="drain", purpose="step", url="https://hooks.example.com/", events=[])
    happened("change.checked", asked)
    happened("change.finished", asked)
    happened("change.commented", asked, text="a comment is no news")
    while announce(clock.now()):
        pass
    assert told() == [("change.finished", "chat"), ("change.finished", "tickets"), ("change.in_review", "chat")]
    assert announce(clock.now()) == 0
    assert len(told()) == 3


def test_a_message_holds_words_and_a_link_and_no_reasons(
    admin: User, asked: Change, clock: ManualClock, settings: LazySettings
) -> None:
    settings.SITE_URL = "https://fleet.example.com/"
    hook(admin)
    reviewer = person("reviewer", Role.APPROVER)
    happened("change.rejected", asked, reviewer, reason="the password is hunter2")
    announce(clock.now())
    row = Delivery.objects.get()
    assert row.payload["type"] == "change.rejected"
    assert row.payload["data"] == {
        "by": "reviewer",
        "event": AuditEvent.objects.latest("number").number,
        "link": f"https://fleet.example.com{reverse('change', args=[asked.pk])}",
        "words": f"#{asked.pk} Web tier was rejected",
        "change": asked.pk,
        "title": "Web tier",
    }
    assert (row.due_at, row.attempts) == (clock.now(), 0)


def test_the_first_of_two_approvals_says_so(admin: User, asked: Change, clock: ManualClock) -> None:
    hook(admin)
    happened("change.approved", asked, approvals=[1, 2])
    announce(clock.now())
    assert Delivery.objects.get().payload["data"]["words"].endswith("was approved, 1 of 2")


def test_many_held_machines_of_a_change_are_one_message(admin: User, asked: Change, clock: ManualClock) -> None:
    hook(admin)
    for _ in range(5):
        happened("instance.held", asked)
    announce(clock.now())
    assert [row.payload["data"]["words"] for row in Delivery.objects.all()] == [
        f"#{asked.pk} Web tier holds 5 machines for a person"
    ]


def test_the_kill_switch_is_news_without_a_change(admin: User, clock: ManualClock) -> None:
    hook(admin)
    record(action="killswitch.pressed", subject="everywhere", actor=admin)
    announce(clock.now())
    data = Delivery.objects.get().payload["data"]
    assert (data["words"], data["link"]) == ("The kill switch is on: everywhere", reverse("settings-kill"))


def test_those_who_can_approve_are_mailed_and_nobody_else(asked: Change, clock: ManualClock, posted: None) -> None:
    mailed(person("reviewer", Role.APPROVER))
    mailed(person("auditor", Role.AUDITOR))
    mailed(person("of-dev", Role.APPROVER, environment="dev"))
    mailed(asked.author).grants.create(role=Role.APPROVER)
    off = mailed(person("quiet", Role.APPROVER))
    webhooks.set_mail(actor=off, on=False)
    helped = mailed(person("helped", Role.APPROVER))
    asked.contributors.create(revision=1, user=helped)
    person("without-address", Role.APPROVER)
    gone = mailed(person("gone", Role.APPROVER))
    User.objects.filter(pk=gone.pk).update(is_active=False)
    happened("change.checked", asked)
    announce(clock.now())
    assert told() == [("change.in_review", "reviewer")]


def test_the_author_is_mailed_when_others_decided_and_not_of_own_acts(
    asked: Change, clock: ManualClock, posted: None
) -> None:
    author = mailed(asked.author)
    happened("change.approved", asked, person("reviewer", Role.APPROVER))
    happened("change.started", asked, author)
    happened("change.tripped", asked)
    announce(clock.now())
    assert told() == [("change.approved", "operator"), ("change.tripped", "operator")]


def test_without_a_mail_server_no_mail_waits(asked: Change, clock: ManualClock) -> None:
    mailed(asked.author)
    happened("change.finished", asked)
    announce(clock.now())
    assert told() == []


def test_what_happened_long_before_the_first_pass_stays_in_the_past(
    admin: User, asked: Change, clock: ManualClock
) -> None:
    hook(admin)
    happened("change.finished", asked)
    clock.advance(3 * 3600)
    announce(clock.now())
    assert told() == []
    happened("change.expired", asked)
    announce(clock.now())
    assert told() == [("change.expired", "chat")]


def test_a_long_trail_is_walked_in_parts(
    admin: User, asked: Change, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composing, "MOST_EVENTS", 3)
    hook(admin)
    for _ in range(7):
        happened("change.finished", asked)
    passes = 0
    while announce(clock.now()):
        passes += 1
    assert passes >= 3
    assert len(told()) == 7


def test_old_messages_are_forgotten_and_waiting_ones_are_not(admin: User, asked: Change, clock: ManualClock) -> None:
    one = hook(admin)
    now = clock.now()
    for number, ended in enumerate(({"delivered_at": now}, {"given_up_at": now}, {"due_at": now})):
        Delivery.objects.create(webhook=one, event=f"e{number}", created_at=now, **ended)
    clock.advance(31 * 86_400)
    composing.forget(clock.now())
    assert [row.event for row in Delivery.objects.all()] == ["e2"]


# --- Webhooks in an administrator's hands.


def test_a_secret_is_sealed_and_never_on_the_trail(admin: User) -> None:
    made, secret = webhooks.add_webhook(
        actor=admin, name="chat", purpose="news", url="https://hooks.example.com/", events=["change.finished"]
    )
    assert secret.reveal().startswith("whsec_")
    assert secret.reveal() not in made.secret.sealed
    event = AuditEvent.objects.get(action="webhook.added")
    assert secret.reveal() not in str(event.data)
    assert event.data["fingerprint"] == made.secret.fingerprint


@pytest.mark.parametrize(
    ("field", "given", "words"),
    [
        ("name", {"name": " "}, "no name"),
        ("url", {"url": "http://hooks.example.com/"}, "over HTTPS alone"),
        ("purpose", {"purpose": "party"}, "for nothing yet"),
        ("events", {"events": ["change.exploded"]}, "no event change.exploded"),
        ("name", {"name": "chat"}, "already"),
    ],
)
def test_what_makes_no_webhook_says_why(admin: User, field: str, given: dict[str, Any], words: str) -> None:
    hook(admin)
    before = SealedSecret.objects.count()
    fields = {"name": "other", "purpose": "news", "url": "https://hooks.example.com/", "events": []} | given
    with pytest.raises(Refused, match=words) as refused:
        webhooks.add_webhook(actor=admin, **fields)
    assert refused.value.field == field
    assert SealedSecret.objects.count() == before, "a secret was left behind"


def test_only_an_administrator_of_everything_changes_webhooks(admin: User) -> None:
    one = hook(admin)
    of_dev = person("of-dev", Role.ADMIN, environment="dev")
    for do in (
        lambda: webhooks.switch_webhook(actor=of_dev, webhook_id=one.pk, on=False),
        lambda: webhooks.remove_webhook(actor=of_dev, webhook_id=one.pk),
        lambda: webhooks.send_test(actor=of_dev, webhook_id=one.pk, now=DatabaseClock().now()),
        lambda: hook(of_dev, name="mine"),
    ):
        with pytest.raises(Refused, match="role administrator") as refused:
            do()
        assert refused.value.kind == "forbidden"


def test_a_webhook_that_an_open_change_has_a_step_with_stays(admin: User, asked: Change) -> None:
    one = webhooks.add_webhook(actor=admin, name="drain", purpose="step", url="https://hooks.example.com/", events=[])[
        0
    ]
    step = {"kind": "webhook", "text": "", "webhook": one.pk, "timeout": 60}
    other = change(asked.author, [], state="draft", policy=asked.policy | {"before": step})
    with pytest.raises(Refused, match=f"#{other.pk} .* has a step with it"):
        webhooks.remove_webhook(actor=admin, webhook_id=one.pk)
    Change.objects.filter(pk=other.pk).update(state="cancelled")
    webhooks.remove_webhook(actor=admin, webhook_id=one.pk)
    assert not Webhook.objects.exists()
    assert not SealedSecret.objects.filter(kind="webhook").exists()
