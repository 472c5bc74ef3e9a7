"""What administrators do to webhooks, and what people do to their own e-mail: each is on the trail, and no secret ever."""

from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django_q.tasks import async_task

from fleet.administration.authority import require_administrator
from fleet.audit.trail import record
from fleet.lib.posting import address_problem
from fleet.lib.refused import Refused
from fleet.lib.secret import Secret
from fleet.models import Change, Delivery, User, Webhook
from fleet.models.changes import ENDED
from fleet.notices.composing import EVENTS, test_message
from fleet.vault.webhook_keys import make_secret

WHAT = "Changing webhooks"


@transaction.atomic
def add_webhook(*, actor: User, name: str, purpose: str, url: str, events: list[str]) -> tuple[Webhook, Secret]:
    """Add a webhook; return it with its secret, which is shown this once and stored sealed."""
    require_administrator(actor, WHAT, None)
    name, url = name.strip(), url.strip()
    if not name:
        raise Refused("The webhook has no name. Enter one.", field="name")
    if purpose not in Webhook.Purpose.values:
        raise Refused("It is for nothing yet. Choose news, or a step of a rollout.", field="purpose")
    if problem := address_problem(url, private=settings.PRIVATE_WEBHOOKS):
        raise Refused(problem, field="url")
    if unknown := sorted(set(events) - set(EVENTS)):
        raise Refused(f"There is no event {unknown[0]}. Choose from the list.", field="events")
    sealed, secret = make_secret()
    webhook = Webhook(name=name, purpose=purpose, url=url, events=sorted(set(events)), secret=sealed)
    try:
        with transaction.atomic():
            webhook.save()
    except IntegrityError:
        raise Refused(f"There is a webhook {name} already. Choose another name.", field="name") from None
    added = {"purpose": purpose, "url": url, "events": webhook.events or "all", "fingerprint": sealed.fingerprint}
    record(action="webhook.added", actor=actor, subject=name, data=added)
    return webhook, secret


@transaction.atomic
def switch_webhook(*, actor: User, webhook_id: int, on: bool) -> Webhook:
    """Switch a webhook off, or on again; messages that came due meanwhile are not sent afterwards."""
    webhook = _webhook(actor, webhook_id)
    if webhook.active == on:
        raise Refused(f"It is {'on' if on else 'off'} already.", kind="moved")
    webhook.active = on
    webhook.save(update_fields=["active"])
    record(action="webhook.changed", actor=actor, subject=webhook.name, data={"active": [not on, on]})
    return webhook


@transaction.atomic
def remove_webhook(*, actor: User, webhook_id: int) -> None:
    """Remove a webhook with its messages. Refused while an open change has a step with it."""
    webhook = _webhook(actor, webhook_id)
    secret = webhook.secret
    for step in ("before", "after"):
        change = Change.objects.filter(**{f"policy__{step}__webhook": webhook.pk}).exclude(state__in=ENDED).first()
        if change:
            raise Refused(
                f"{change} has a step with it. End that change first, or take the step out of it.", kind="moved"
            )
    webhook.delete()
    secret.delete()
    record(action="webhook.removed", actor=actor, subject=webhook.name, data={"url": webhook.url})


@transaction.atomic
def send_test(*, actor: User, webhook_id: int, now: datetime) -> Delivery:
    """Queue a test message."""
    webhook = _webhook(actor, webhook_id)
    if not webhook.active:
        raise Refused("It is off. Switch it on first.", kind="moved")
    delivery = test_message(webhook, now=now)
    async_task("fleet.worker.deliver")
    record(action="webhook.tested", actor=actor, subject=webhook.name)
    return delivery


@transaction.atomic
def set_mail(*, actor: User, on: bool) -> None:
    """Switch one's own e-mail on or off."""
    User.objects.filter(pk=actor.pk).update(mail_news=on)
    record(action="person.mail_switched", actor=actor, subject="on" if on else "off")


def _webhook(actor: User, pk: int) -> Webhook:
    require_administrator(actor, WHAT, None)
    found = Webhook.objects.select_for_update(of=("self",)).select_related("secret").filter(pk=pk).first()
    if found is None:
        raise Refused("There is no such webhook any more. Look at the list.", kind="moved")
    return found
