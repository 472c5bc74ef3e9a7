"""Sending the messages that wait: each is tried again, after longer and longer waits, until it arrives or is given up."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

from fleet.lib.clock import Clock
from fleet.lib.posting import NotPosted, post
from fleet.lib.secret import SealBroken
from fleet.lib.signing import headers
from fleet.models import Delivery, Webhook
from fleet.vault.webhook_keys import secret_of

OFF = "The webhook is switched off."
TIMEOUT = 10.0  # seconds for the whole exchange with a receiver
LEASE = timedelta(seconds=60)
# The wait after each failed attempt, in seconds: from 5 s to a day, two and a half days in all.
BACKOFF = (5, 30, 120, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 57_600, 86_400)


def send_due(clock: Clock, *, stop: Callable[[], bool] = lambda: False) -> int:
    """Send every message that is due; return how many were tried. `stop` is asked before each."""
    tried = 0
    while not stop() and (row := _claim(clock.now())):
        note = _mail(row) if row.person else _post(row, clock.now())
        _close(row, note, clock.now())
        tried += 1
    return tried


@transaction.atomic
def _claim(now: datetime) -> Delivery | None:
    """Take one message that is due. The attempt is counted before it is made, so that one of a killed worker counts too."""
    due = Delivery.objects.select_for_update(of=("self",), skip_locked=True).filter(due_at__lte=now)
    row = due.select_related("webhook__secret", "person").order_by("due_at", "pk").first()
    if row is not None:
        row.lease += 1
        row.attempts += 1
        row.due_at = now + LEASE
        row.save(update_fields=["lease", "attempts", "due_at"])
    return row


def _close(row: Delivery, note: str, now: datetime) -> None:
    """Write how the attempt went, unless another worker took the message meanwhile. An empty note means that it arrived."""
    columns: dict[str, object] = {"note": note[:300], "due_at": None}
    if not note:
        columns["delivered_at"] = now
    elif row.attempts > len(BACKOFF) or note == OFF:
        columns["given_up_at"] = now
    else:
        columns["due_at"] = now + timedelta(seconds=BACKOFF[row.attempts - 1])
    Delivery.objects.filter(pk=row.pk, lease=row.lease).update(**columns)


def _post(row: Delivery, now: datetime) -> str:
    """Post a message, signed as Standard Webhooks says; return why it did not arrive, or nothing.

    The id stays the same for all attempts, so that a receiver recognises a message that arrives twice.
    """
    webhook: Webhook = row.webhook  # type: ignore[assignment]
    if not webhook.active:
        return OFF
    body = json.dumps(row.payload, ensure_ascii=False, separators=(",", ":")).encode()
    identity, moment = f"msg_{row.pk.hex}", int(now.timestamp())
    try:
        signed = headers(secret_of(webhook), identity, moment, body)
        answer = post(webhook.url, body=body, headers=signed, timeout=TIMEOUT, private=settings.PRIVATE_WEBHOOKS)
    except NotPosted as error:
        return error.sentence
    except SealBroken:
        return "The secret does not open with the present keys. Remove the webhook and add it anew."
    return "" if 200 <= answer.status < 300 else f"The receiver answered {answer.status}."


def _mail(row: Delivery) -> str:
    """Send an e-mail; return why it was not taken, or nothing."""
    message = row.payload["data"]
    text = (
        f"{message['words']}.\n\n{message['link']}\n\nDecide on the page: an answer to this message decides nothing.\n"
    )
    # A title with a line break would be a header of its own: Django refuses that, so it never gets there.
    subject = " ".join(str(message["words"]).split())
    try:
        EmailMessage(subject=subject, body=text, to=[row.person.email]).send()  # type: ignore[union-attr]
    except (SMTPException, OSError) as error:
        return f"The mail server did not take it: {type(error).__name__}."
    return ""
