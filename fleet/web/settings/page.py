"""What the pages of the settings share: rendering, carrying out an act, and the fields for an account and a region."""

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from fleet.administration.authority import administers
from fleet.lib.refused import Refused
from fleet.models import Account
from fleet.web.shared.forms import Form
from fleet.web.shared.htmx import Request, redirect_to
from fleet.web.shared.refusals import record_refusal, status_of

T = TypeVar("T")


@require_safe
def settings(request: Request) -> HttpResponse:
    """Go to the first of the pages."""
    return redirect("settings-calendars")


def page(request: Request, template: str, context: dict[str, Any], *page_forms: Form) -> HttpResponse:
    """Render a page of the settings with its forms: what was refused to one of them decides the status and stands on top.

    `ruler` tells the template whether this person may change what holds for everybody.
    """
    refused = next((form.refused for form in page_forms if form.refused), None)
    context |= {"refused": refused, "ruler": administers(request.user)}
    return render(request, template, context, status=status_of(*page_forms))


def carry_out(
    request: Request,
    act: str,
    do: Callable[[], T],
    message: str,
    *,
    form: Form,
    then: Callable[[T], HttpResponse],
) -> HttpResponse | None:
    """Carry out one act, show `message`, and answer with what `then` makes of the act's result.

    Return None where it was refused: the form has taken the refusal in, and its page is to be shown again. `act` says for
    the audit trail what was refused, such as "remove a rule of approval".
    """
    try:
        result = do()
    except Refused as refused:
        record_refusal(request, refused, act=act)
        form.refuse(refused)
        return None
    messages.success(request, message, extra_tags="ok")
    return then(result)


def go_to(request: Request, name: str, *args: Any) -> Callable[[object], HttpResponse]:
    """Return a `then` that goes to the page with this name, whatever came of the act."""
    return lambda _: redirect_to(request, name, *args)


def account_field() -> forms.ChoiceField:
    """Return a field for one account or all; `offer_scope` fills it."""
    return forms.ChoiceField(label="Account", required=False)


def region_field() -> forms.ChoiceField:
    """Return a field for one region or all; `offer_scope` fills it."""
    return forms.ChoiceField(label="Region", required=False)


def offer_scope(form: Form) -> None:
    """Fill the selects of account and region (one query)."""
    accounts = list(Account.objects.order_by("name"))
    regions = sorted({region for account in accounts for region in account.regions})
    offered = {
        "account": [("", "All accounts"), *((str(account.pk), account.name) for account in accounts)],
        "region": [("", "All regions"), *((region, region) for region in regions)],
    }
    for name, choices in offered.items():
        field = form.fields.get(name)
        if isinstance(field, forms.ChoiceField):
            field.choices = choices
            field.error_messages["invalid_choice"] = "This is none of the choices any more. Choose one from the list."


def chosen_account(form: Form) -> int | None:
    """Return the account that was chosen in a valid form, None for all."""
    chosen = form.cleaned_data.get("account", "")
    return int(chosen) if chosen else None
