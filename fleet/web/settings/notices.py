"""Settings: who gets which messages, by webhook and by e-mail, and whether the latest ones arrived."""

from collections.abc import Callable

from django import forms
from django.conf import settings
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from fleet.administration import webhooks as acts
from fleet.lib.clock import DatabaseClock
from fleet.lib.secret import Secret
from fleet.models import Delivery, Webhook
from fleet.notices.composing import EVENTS
from fleet.web.settings.page import carry_out, go_to, page
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
def notices(request: Request) -> HttpResponse:
    """Show webhooks, e-mail and the latest messages; add a webhook, whose secret is shown in this answer alone."""
    form, answer = WebhookForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        answer = carry_out(
            request,
            "add a webhook",
            lambda: acts.add_webhook(actor=request.user, **form.cleaned_data),
            "The webhook is added.",
            form=form,
            then=lambda made: _page(request, WebhookForm(), *made),
        )
    return answer or _page(request, form)


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
    do, message = acts_by_name[what]
    form = WebhookForm()
    then = go_to(request, "settings-notices")
    return carry_out(request, f"{what} a webhook", do, message, form=form, then=then) or _page(request, form)


@require_POST
def mail(request: Request) -> HttpResponse:
    """Switch one's own e-mail on or off."""
    on = request.POST.get("on") == "yes"
    message = f"E-mail is {'on' if on else 'off'} for you."
    form = WebhookForm()
    answer = carry_out(
        request,
        "switch e-mail",
        lambda: acts.set_mail(actor=request.user, on=on),
        message,
        form=form,
        then=go_to(request, "settings-notices"),
    )
    return answer or _page(request, form)


@sensitive_variables("context")  # it holds the secret, which no report of an error may show
def _page(
    request: Request, form: WebhookForm, made: Webhook | None = None, secret: Secret | None = None
) -> HttpResponse:
    """Render the page; `made` is a webhook that was added in this request, with its `secret`."""
    waits = Q(deliveries__due_at__isnull=False)
    webhooks = Webhook.objects.select_related("secret").annotate(
        waiting=Count("deliveries", filter=waits),
        lost=Count("deliveries", filter=Q(deliveries__given_up_at__isnull=False)),
    )
    deliveries = Delivery.objects.select_related("webhook", "person", "change").order_by("-created_at", "-pk")
    context = {
        "form": form,
        "made": made,
        "secret": secret.reveal() if secret else "",
        "webhooks": webhooks.order_by("name"),
        "deliveries": deliveries[:LISTED],
        "mail_on": settings.MAIL_ON,
    }
    return page(request, PAGE, context, form)
