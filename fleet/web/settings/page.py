"""What the pages of the settings share: their tabs, the choices of a scope, and saying no with everything still typed."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from fleet.administration.authority import may_rule
from fleet.lib.refused import Refused
from fleet.models import Account
from fleet.web.shared.forms import Form, fault
from fleet.web.shared.htmx import Request, redirect_to
from fleet.web.shared.refusals import STATUS, record_refusal


@require_safe
def settings(request: Request) -> HttpResponse:
    """Go to the first of the pages."""
    return redirect("settings-calendars")


def page(request: Request, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Render a page of the settings; `ruler` says whether this person may change what holds for everybody."""
    return render(request, template, context | {"ruler": may_rule(request.user)}, status=status)


def carry_out(
    request: Request, act: str, do: Callable[[], object], said: str, *, to: str, form: Form | None = None
) -> HttpResponse | Refused:
    """Carry out one act and go to the page `to`, or return the refusal; what belongs to a field is put under it."""
    try:
        do()
    except Refused as refused:
        record_refusal(request, refused, act=act)
        if form is not None and refused.kind == "wrong":
            form.add_error(refused.field if refused.field in form.fields else None, fault(refused.sentence))
        return refused
    messages.success(request, said, extra_tags="ok")
    return redirect_to(request, to)


def status_of(refused: Refused | None, form: Form | None = None) -> int:
    """Return the status of a page that shows a refusal, or a form in error."""
    if refused is not None:
        return STATUS[refused.kind]
    return 422 if form is not None and form.errors else 200


def account_field() -> forms.ChoiceField:
    return forms.ChoiceField(label="Account", required=False)


def region_field() -> forms.ChoiceField:
    return forms.ChoiceField(label="Region", required=False)


def offer_scope(form: Form) -> None:
    """Fill the selects of account and region (one query)."""
    accounts = list(Account.objects.order_by("name"))
    offered = {
        "account": [("", "All accounts"), *((str(account.pk), account.name) for account in accounts)],
        "region": [("", "All regions"), *((r, r) for r in sorted({r for a in accounts for r in a.regions}))],
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
