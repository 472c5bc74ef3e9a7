"""Settings: the kill switch."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.views.decorators.http import require_http_methods, require_POST

from fleet.administration.kill_switch import lift, may_lift, may_press, press
from fleet.guards.kill_switch import presses, scope_words
from fleet.lib.clock import DatabaseClock
from fleet.models import KillSwitch
from fleet.web.settings.page import account_field, carry_out, chosen_account, go_to, offer_scope, page, region_field
from fleet.web.shared.forms import Form, fault
from fleet.web.shared.htmx import Request

PAGE = "settings/kill.html"
STOP, GO = "stop", "go on"
EARLIER = 20


class PressForm(Form):
    """Where to stop, why, and a word to type, so that nobody presses by mistake."""

    wide = ("reason",)

    account = account_field()
    region = region_field()
    reason = forms.CharField(label="Reason", max_length=400, help_text="Everybody reads it, on every page.")
    confirm = forms.CharField(label=f"Type “{STOP}”", max_length=20)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_scope(self)

    def clean_confirm(self) -> str:
        return _typed(self.cleaned_data["confirm"], STOP)


class LiftForm(Form):
    """Why it is safe to go on, and a word to type, so that nobody lifts by mistake."""

    wide = ("reason",)

    reason = forms.CharField(label="Why is it safe to go on?", max_length=400)
    confirm = forms.CharField(label=f"Type “{GO}”", max_length=20)

    def clean_confirm(self) -> str:
        return _typed(self.cleaned_data["confirm"], GO)


def _typed(value: str, word: str) -> str:
    if value.strip().strip("“”\"'").casefold() != word:
        raise fault(f"This is not the word. Type “{word}”.")
    return value


@require_http_methods(["GET", "HEAD", "POST"])
def kill(request: Request) -> HttpResponse:
    """Show where the kill switch is on and who pressed it; POST presses it."""
    form, answer = PressForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        answer = carry_out(
            request,
            "press the kill switch",
            lambda: press(
                actor=request.user,
                account_id=chosen_account(form),
                region=form.cleaned_data["region"],
                reason=form.cleaned_data["reason"],
                now=DatabaseClock().now(),
            ),
            "The kill switch is on. Nothing irreversible is sent there from now on.",
            form=form,
            then=go_to(request, "settings-kill"),
        )
    return answer or _page(request, form)


@require_POST
def lifted(request: Request, pk: int) -> HttpResponse:
    """Lift one press of the kill switch."""
    form, answer = LiftForm(request.POST, auto_id=f"lift_{pk}_%s"), None
    if form.is_valid():
        answer = carry_out(
            request,
            "lift the kill switch",
            lambda: lift(
                actor=request.user, press_id=pk, reason=form.cleaned_data["reason"], now=DatabaseClock().now()
            ),
            "The kill switch is off there. What waited goes on.",
            form=form,
            then=go_to(request, "settings-kill"),
        )
    return answer or _page(request, lift_form=form, lifting=pk)


def _page(
    request: Request, form: PressForm | None = None, *, lift_form: LiftForm | None = None, lifting: int = 0
) -> HttpResponse:
    """Render the page; `lift_form` is what was sent to lift the press with the primary key `lifting`."""

    def form_of(pressed: KillSwitch) -> LiftForm | None:
        if not may_lift(request.user, pressed):
            return None
        return lift_form if lift_form and pressed.pk == lifting else LiftForm(auto_id=f"lift_{pressed.pk}_%s")

    earlier = KillSwitch.objects.filter(lifted_at__isnull=False).select_related("account", "pressed_by", "lifted_by")
    form = form or PressForm()
    context = {
        "form": form,
        "may_press": may_press(request.user),
        "presses": [(pressed, scope_words(pressed), form_of(pressed)) for pressed in presses()],
        "earlier": [(pressed, scope_words(pressed)) for pressed in earlier.order_by("-lifted_at")[:EARLIER]],
    }
    return page(request, PAGE, context, lift_form or form)
