"""Settings: who is told of what, by webhook and by e-mail, and how the messages fared."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from fleet.administration import webhooks as acts
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.models import Delivery, Webhook
from fleet.notices.composing import EVENTS
from fleet.web.settings.page import carry_out, page, status_of
from fleet.web.shared.forms import Consequences, Form
from fleet.web.shared.htmx import Request

PAGE = "settings/notices.html"
LISTED = 50


class WebhookForm(Form):
    """A receiver of messages."""

    wide = ("url",)

    name = forms.CharField(label="Name", max_length=80)
    url = forms.CharField(
        label="Address", max_length=500, help_text="HTTPS. Every message is signed; no redirect is followed."
    )
    purpose = forms.ChoiceField(
        label="For",
        choices=Webhook.Purpose.choices,
        initial=Webhook.Purpose.NEWS,
        widget=Consequences(
            notes={
                "news": "It is told what happens to changes.",
                "step": "A change may ask it before or after each machine; its answer decides.",
            }
        ),
    )
    events = forms.MultipleChoiceField(
        label="News of",
        choices=[(event, event) for event in EVENTS],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: of everything.",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("secret")
def notices(request: Request) -> HttpResponse:
    """Show webhooks, e-mail and the latest messages; add a webhook, whose secret is shown in this answer alone."""
    form, refused = WebhookForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        made: list[Any] = []
        answer = carry_out(
            request,
            "add a webhook",
            lambda: made.extend(acts.add_webhook(actor=request.user, **form.cleaned_data)),
            "The webhook is added.",
            to=reverse("settings-notices"),
            form=form,
        )
        if isinstance(answer, HttpResponse):
            webhook, secret = made
            return _page(request, WebhookForm(), made=webhook, secret=secret.reveal())
        refused = answer
    return _page(request, form, refused=refused)


@require_POST
def act(request: Request, pk: int, what: str) -> HttpResponse:
    """Send a test message, switch a webhook off or on, or remove it."""
    acts_by_name: dict[str, tuple[Callable[[], object], str]] = {
        "test": (
            lambda: acts.send_test(actor=request.user, webhook_id=pk, now=DatabaseClock().now()),
            "The test message is on its way; it stands in the list below.",
        ),
        "off": (lambda: acts.switch_webhook(actor=request.user, webhook_id=pk, on=False), "The webhook is off."),
        "on": (lambda: acts.switch_webhook(actor=request.user, webhook_id=pk, on=True), "The webhook is on."),
        "remove": (lambda: acts.remove_webhook(actor=request.user, webhook_id=pk), "The webhook is removed."),
    }
    if what not in acts_by_name:
        raise Http404
    do, said = acts_by_name[what]
    answer = carry_out(request, f"{what} a webhook", do, said, to=reverse("settings-notices"))
    return answer if isinstance(answer, HttpResponse) else _page(request, WebhookForm(), refused=answer)


@require_POST
def mail(request: Request) -> HttpResponse:
    """Switch one's own e-mail on or off."""
    on = request.POST.get("on") == "yes"
    said = f"E-mail is {'on' if on else 'off'} for you."
    answer = carry_out(
        request, "switch e-mail", lambda: acts.set_mail(actor=request.user, on=on), said, to=reverse("settings-notices")
    )
    return answer if isinstance(answer, HttpResponse) else _page(request, WebhookForm(), refused=answer)


def _page(
    request: Request,
    form: WebhookForm,
    *,
    refused: Refused | None = None,
    made: Webhook | None = None,
    secret: str = "",
) -> HttpResponse:
    waits = Q(deliveries__due_at__isnull=False)
    webhooks = Webhook.objects.select_related("secret").annotate(
        waiting=Count("deliveries", filter=waits),
        lost=Count("deliveries", filter=Q(deliveries__given_up_at__isnull=False)),
    )
    deliveries = Delivery.objects.select_related("webhook", "person", "change").order_by("-created_at", "-pk")
    context = {
        "form": form,
        "refused": refused if refused and refused.kind != "wrong" else None,
        "made": made,
        "secret": secret,
        "webhooks": webhooks.order_by("name"),
        "deliveries": deliveries[:LISTED],
        "mail_on": settings.MAIL_ON,
    }
    return page(request, PAGE, context, status=status_of(refused, form))
