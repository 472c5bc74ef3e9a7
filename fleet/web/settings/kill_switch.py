"""Settings: the kill switch."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from fleet.administration.kill_switch import lift, may_lift, may_press, press
from fleet.guards.kill_switch import presses, scope_words
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.models import KillSwitch
from fleet.web.settings.page import account_field, carry_out, chosen_account, offer_scope, page, region_field, status_of
from fleet.web.shared.forms import Form, fault
from fleet.web.shared.htmx import Request

PAGE = "settings/kill.html"
STOP, GO = "stop", "go on"
EARLIER = 20


class PressForm(Form):
    """Where to stop, why, and the word that says it is meant."""

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
    """Why it is safe to go on, and the word that says it is meant."""

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
    """Show what is stopped and by whom; press."""
    form, refused = PressForm(request.POST or None), None
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
            to=reverse("settings-kill"),
            form=form,
        )
        if isinstance(answer, HttpResponse):
            return answer
        refused = answer
    return _page(request, form=form, refused=refused)


@require_POST
def lifted(request: Request, pk: int) -> HttpResponse:
    """Lift one press."""
    form, refused = LiftForm(request.POST, auto_id=f"lift_{pk}_%s"), None
    if form.is_valid():
        answer = carry_out(
            request,
            "lift the kill switch",
            lambda: lift(
                actor=request.user, press_id=pk, reason=form.cleaned_data["reason"], now=DatabaseClock().now()
            ),
            "The kill switch is off there. What waited goes on.",
            to=reverse("settings-kill"),
            form=form,
        )
        if isinstance(answer, HttpResponse):
            return answer
        refused = answer
    return _page(request, lifting=(pk, form), refused=refused)


def _page(
    request: Request,
    *,
    form: PressForm | None = None,
    lifting: tuple[int, LiftForm] | None = None,
    refused: Refused | None = None,
) -> HttpResponse:
    def form_of(one: KillSwitch) -> LiftForm | None:
        if not may_lift(request.user, one):
            return None
        return lifting[1] if lifting and lifting[0] == one.pk else LiftForm(auto_id=f"lift_{one.pk}_%s")

    earlier = KillSwitch.objects.filter(lifted_at__isnull=False).select_related("account", "pressed_by", "lifted_by")
    context = {
        "form": form or PressForm(),
        "may_press": may_press(request.user),
        "presses": [(one, scope_words(one), form_of(one)) for one in presses()],
        "earlier": [(one, scope_words(one)) for one in earlier.order_by("-lifted_at")[:EARLIER]],
        "refused": refused if refused and refused.kind != "wrong" else None,
    }
    bound = lifting[1] if lifting else form
    return page(request, PAGE, context, status=status_of(refused, bound))
