"""News of changes for people and webhooks: who gets which message, and the messages that wait to be sent.

The audit trail is the outbox. Each pass over the events since the last one makes a row for each receiver, in the transaction
that moves the cursor: no event is lost and none is announced twice, whichever process is killed. A message holds words and a
link; an answer to it decides nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.urls import reverse

from fleet.guards.roles import roles_of_grants, scopes_of
from fleet.models import AuditEvent, Change, Contributor, Delivery, Grant, Heartbeat, Role, User, Webhook

CURSOR = "notices"  # the heartbeat whose note is the number of the last event that was announced
NOT_OLDER = timedelta(hours=1)  # the first pass ever does not announce what is older
MOST_EVENTS = 1000
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class News:
    """One kind of news: its name in messages, its words ({n} stands for the machines), and who gets it by e-mail.

    `together`: where many events of it are about one change, they are one message.
    """

    event: str
    words: str
    readers: str  # approvers, author or nobody
    together: bool = False


# By the action on the audit trail.
NEWS: dict[str, News] = {
    "change.checked": News("change.in_review", "waits for a review", "approvers"),
    "change.check_failed": News("change.check_failed", "did not pass its check and is a draft again", "author"),
    "change.rest_asked": News("change.in_review", "waits for a fresh approval of the rest", "approvers"),
    "change.approved": News("change.approved", "was approved", "author"),
    "change.returned": News("change.returned", "was sent back to draft", "author"),
    "change.rejected": News("change.rejected", "was rejected", "author"),
    "change.started": News("change.started", "was started", "author"),
    "change.tripped": News("change.tripped", "stopped by itself", "author"),
    "change.finished": News("change.finished", "is finished", "author"),
    "change.cancelled": News("change.cancelled", "was cancelled", "author"),
    "change.expired": News("change.expired", "expired: nobody started it in time", "author"),
    "instance.held": News("machine.held", "holds {n} for a person", "author", together=True),
    "killswitch.pressed": News("kill_switch.pressed", "The kill switch is on", "nobody"),
    "killswitch.lifted": News("kill_switch.lifted", "The kill switch is off again", "nobody"),
}
EVENTS = sorted({news.event for news in NEWS.values()})


@transaction.atomic
def announce(now: datetime) -> int:
    """Make the messages for what happened since the last pass; return how many events were looked at.

    0 where nothing happened, or where another worker is doing it.
    """
    Heartbeat.objects.get_or_create(name=CURSOR, defaults={"at": now, "note": str(_first(now))})
    cursor = Heartbeat.objects.select_for_update(skip_locked=True).filter(name=CURSOR).first()
    if cursor is None:
        return 0
    # Numbers are given under a lock that is held until the commit: none smaller can appear later.
    seen = int(cursor.note)
    numbers = AuditEvent.objects.filter(number__gt=seen).order_by("number").values("number")[:MOST_EVENTS]
    last = AuditEvent.objects.filter(number__in=numbers).aggregate(last=Max("number"))["last"]
    if last is None:
        return 0
    events = AuditEvent.objects.filter(number__gt=seen, number__lte=last, action__in=NEWS).select_related("change")
    Delivery.objects.bulk_create(_messages(_folded(events.order_by("number")), now))
    cursor.at, cursor.note = now, str(last)
    cursor.save(update_fields=["at", "note"])
    return int(last - seen)


def forget(now: datetime) -> None:
    """Delete messages that arrived, or were given up, more than 30 days ago."""
    old = now - KEPT
    Delivery.objects.filter(Q(delivered_at__lt=old) | Q(given_up_at__lt=old)).delete()


def test_message(webhook: Webhook, *, now: datetime) -> Delivery:
    """Queue a message that says only that messages arrive, in the transaction that is open."""
    payload = _payload("test", now, {"words": "This is a test: messages arrive here.", "link": link(None)})
    return Delivery.objects.create(webhook=webhook, event="test", payload=payload, created_at=now, due_at=now)


def link(change: Change | None) -> str:
    """Return where to look: an address, or only its path where the site's own address is not set."""
    path = reverse("change", args=[change.pk]) if change else reverse("settings-kill")
    return settings.SITE_URL.rstrip("/") + path


def approvers_of(change: Change) -> list[User]:
    """Return the active people who may approve every machine of the change and had no hand in it (three queries)."""
    scopes = scopes_of(change)
    contributors = set(Contributor.objects.filter(change=change).values_list("user", flat=True)) | {change.author_id}
    by_user: dict[User, list[Grant]] = {}
    for grant in Grant.objects.filter(role=Role.APPROVER, user__is_active=True).select_related("user"):
        by_user.setdefault(grant.user, []).append(grant)
    return [user for user, grants in by_user.items() if user.pk not in contributors and roles_of_grants(grants, scopes)]


def _first(now: datetime) -> int:
    """Return the number before the first event that is still news."""
    return AuditEvent.objects.filter(at__lt=now - NOT_OLDER).aggregate(last=Max("number"))["last"] or 0


def _folded(events: Iterable[AuditEvent]) -> Iterator[tuple[AuditEvent, int]]:
    """Yield each event with how many it stands for: many held machines of one change are one message."""
    together: dict[tuple[str, int | None], list[AuditEvent]] = {}
    for event in events:
        if NEWS[event.action].together:
            together.setdefault((event.action, event.change_id), []).append(event)
        else:
            yield event, 1
    for same in together.values():
        yield same[-1], len(same)


def _messages(events: Iterable[tuple[AuditEvent, int]], now: datetime) -> Iterator[Delivery]:
    webhooks = list(Webhook.objects.filter(purpose=Webhook.Purpose.NEWS, active=True))
    for event, number in events:
        news = NEWS[event.action]
        payload = _payload(news.event, event.at, _data(event, news, number))
        common: dict[str, Any] = {
            "event": news.event,
            "change_id": event.change_id,
            "payload": payload,
            "created_at": now,
            "due_at": now,
        }
        for webhook in webhooks:
            if not webhook.events or news.event in webhook.events:
                yield Delivery(webhook=webhook, **common)
        for person in _readers(event, news):
            yield Delivery(person=person, **common)


def _data(event: AuditEvent, news: News, number: int) -> dict[str, Any]:
    """Return what a message says. Reasons and comments stay out of it, since they may hold what is not for others."""
    words = news.words.format(n=f"{number:,} {'machine' if number == 1 else 'machines'}")
    message: dict[str, Any] = {"by": event.actor_name, "event": event.number, "link": link(event.change)}
    if event.change is None:
        return message | {"words": f"{words}: {event.subject}"}
    given = event.data.get("approvals")
    if event.action == "change.approved" and given and given[0] < given[1]:
        words += f", {given[0]} of {given[1]}"
    return message | {"words": f"{event.change} {words}", "change": event.change_id, "title": event.change.title}


def _payload(event: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": event, "timestamp": at.isoformat(timespec="seconds"), "data": data}


def _readers(event: AuditEvent, news: News) -> list[User]:
    """Return who gets it by e-mail: not whoever did it, nor who switched e-mail off or has no address."""
    if not settings.MAIL_ON or event.change is None or news.readers == "nobody":
        return []
    found = approvers_of(event.change) if news.readers == "approvers" else [event.change.author]
    return [user for user in found if user.mail_news and user.email and user.is_active and user.pk != event.actor_id]
