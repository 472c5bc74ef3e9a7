"""Sending: to a real receiver on this machine, that fails, comes back, is slow, or never answers."""

import json
import threading
from base64 import b64decode
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import connection

from fleet import worker
from fleet.administration import webhooks
from fleet.audit.trail import record
from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.lib.secret import Secret
from fleet.lib.signing import sign
from fleet.models import Change, Delivery, Role, User, Webhook
from fleet.notices import delivering
from fleet.notices.composing import announce
from fleet.notices.delivering import BACKOFF, send_due
from tests.support.databases import CommittedDatabase
from tests.support.people import account, change, machine, person
from tests.support.receiver import Receiver, receiver


@pytest.fixture
def clock(db: None) -> ManualClock:
    return ManualClock(DatabaseClock().now() + timedelta(seconds=5))


def asked() -> Change:
    return change(person("operator", Role.OPERATOR), [machine(account(), 1)], title="Web tier")


def told(there: Receiver, clock: ManualClock) -> tuple[Delivery, Secret]:
    """Let something happen, and make the message of it."""
    admin = User.objects.filter(username="admin").first() or person("admin", Role.ADMIN)
    hook = Webhook.objects.filter(name="chat").first()
    secret = Secret("")
    if hook is None:
        hook, secret = webhooks.add_webhook(actor=admin, name="chat", purpose="news", url=there.url, events=[])
    one = Change.objects.first() or asked()
    record(action="change.finished", subject=str(one), change=one)
    announce(clock.now())
    return Delivery.objects.get(delivered_at=None, given_up_at=None), secret


def test_the_signature_is_that_of_the_published_example() -> None:
    """The vector that the libraries of Standard Webhooks test themselves with."""
    key = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_arrives_signed_with_the_secret_that_was_shown_once(clock: ManualClock) -> None:
    with receiver() as there:
        row, secret = told(there, clock)
        assert send_due(clock) == 1
        [(_, headers, body)] = there.got
    key = b64decode(secret.reveal().removeprefix("whsec_"))
    assert headers["webhook-timestamp"] == str(int(clock.now().timestamp()))
    assert headers["webhook-signature"] == sign(key, headers["webhook-id"], int(clock.now().timestamp()), body)
    assert json.loads(body) == row.payload
    row.refresh_from_db()
    assert (row.delivered_at, row.due_at, row.attempts, row.note) == (clock.now(), None, 1, "")


def test_one_that_fails_is_tried_again_with_the_same_id_and_a_fresh_time(clock: ManualClock) -> None:
    with receiver() as there:
        there.answers = [500, 302, 204]
        row, _ = told(there, clock)
        send_due(clock)
        row.refresh_from_db()
        assert (row.note, row.due_at) == ("The receiver answered 500.", clock.now() + timedelta(seconds=BACKOFF[0]))
        assert send_due(clock) == 0, "tried before its time"
        clock.advance(BACKOFF[0])
        send_due(clock)
        clock.advance(BACKOFF[1])
        send_due(clock)
        assert len({headers["webhook-id"] for _, headers, _ in there.got}) == 1
        assert len({headers["webhook-timestamp"] for _, headers, _ in there.got}) == 3
        assert len({body for _, _, body in there.got}) == 1
    row.refresh_from_db()
    assert (row.delivered_at, row.attempts) == (clock.now(), 3)


def test_one_that_never_arrives_is_given_up_after_days(clock: ManualClock) -> None:
    begin = clock.now()
    with receiver() as there:
        there.answers = [503]
        row, _ = told(there, clock)
        while row.given_up_at is None:
            assert send_due(clock) == 1
            row.refresh_from_db()
            if row.due_at:
                clock.moment = row.due_at
    assert row.attempts == len(BACKOFF) + 1 == len(there.got)
    assert timedelta(days=2) < clock.now() - begin < timedelta(days=4)
    assert (row.due_at, row.note) == (None, "The receiver answered 503.")


def test_a_slow_receiver_costs_its_time_and_no_more(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "TIMEOUT", 0.3)
    with receiver() as there:
        there.drips = True
        row, _ = told(there, clock)
        send_due(clock)
    row.refresh_from_db()
    assert row.note == "No answer from 127.0.0.1 within 0.3 s."
    assert row.due_at is not None


def test_a_receiver_inside_of_the_network_is_not_reached_in_production(
    clock: ManualClock, settings: LazySettings
) -> None:
    """What the form would refuse is refused at the call too: the setting may have changed since."""
    with receiver() as there:
        row, _ = told(there, clock)
        settings.PRIVATE_WEBHOOKS = False
        send_due(clock)
        assert there.got == []
    row.refresh_from_db()
    assert "messages do not go there" in row.note


def test_one_that_was_switched_off_is_sent_nothing_more(clock: ManualClock) -> None:
    with receiver() as there:
        row, _ = told(there, clock)
        Webhook.objects.update(active=False)
        send_due(clock)
        assert there.got == []
    row.refresh_from_db()
    assert row.given_up_at == clock.now()


def test_a_secret_that_does_not_open_says_what_to_do(clock: ManualClock) -> None:
    with receiver() as there:
        row, _ = told(there, clock)
        row.webhook.secret.sealed = "x"  # type: ignore[union-attr]
        row.webhook.secret.save()  # type: ignore[union-attr]
        send_due(clock)
    row.refresh_from_db()
    assert "Remove the webhook and add it anew" in row.note


def test_mail_is_sent_with_a_link_and_says_that_answers_decide_nothing(
    clock: ManualClock, settings: LazySettings
) -> None:
    settings.MAIL_ON = True
    one = asked()
    User.objects.filter(pk=one.author_id).update(email="operator@example.com")
    one.title = "Two\nBcc: all@example.com"
    one.save()
    record(action="change.finished", subject=str(one), change=one)
    announce(clock.now())
    assert send_due(clock) == 1
    [message] = mail.outbox
    assert message.to == ["operator@example.com"]
    assert message.subject == f"#{one.pk} Two Bcc: all@example.com is finished"
    assert f"/changes/{one.pk}" in message.body
    assert "an answer to this message decides nothing" in message.body


def test_a_mail_server_that_is_away_is_tried_again(
    clock: ManualClock, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as there:
        port = int(there.url.split(":")[2].split("/")[0])
    settings.MAIL_ON, settings.EMAIL_HOST, settings.EMAIL_PORT = True, "127.0.0.1", port  # nobody listens there now
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    one = asked()
    User.objects.filter(pk=one.author_id).update(email="operator@example.com")
    record(action="change.finished", subject=str(one), change=one)
    announce(clock.now())
    send_due(clock)
    row = Delivery.objects.get()
    assert "The mail server did not take it" in row.note
    assert row.due_at == clock.now() + timedelta(seconds=BACKOFF[0])


def test_two_workers_at_once_send_each_message_once(committed_db: CommittedDatabase) -> None:
    clock = ManualClock(DatabaseClock().now() + timedelta(seconds=5))
    with receiver() as there:
        admin = person("admin", Role.ADMIN)
        webhooks.add_webhook(actor=admin, name="chat", purpose="news", url=there.url, events=[])
        one = asked()
        for _ in range(20):
            record(action="change.finished", subject=str(one), change=one)

        def deliver() -> None:
            try:
                worker.deliver(clock=clock)
            finally:
                connection.close()

        threads = [threading.Thread(target=deliver) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(there.got) == len({headers["webhook-id"] for _, headers, _ in there.got}) == 20
    assert Delivery.objects.filter(delivered_at__isnull=False).count() == 20
