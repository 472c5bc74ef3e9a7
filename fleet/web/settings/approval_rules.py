"""Settings: how many must agree to what."""

from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from fleet.administration import approval_rules as acts
from fleet.lib.refused import Refused
from fleet.models import QuorumRule
from fleet.web.settings.page import account_field, carry_out, chosen_account, offer_scope, page, status_of
from fleet.web.shared.forms import Form, WholeNumber
from fleet.web.shared.htmx import Request

PAGE = "settings/quorum.html"
MOST_MACHINES = 1_000_000


class RuleForm(Form):
    """A rule: how many approvals, and the conditions under which it holds."""

    units = {"approvals": "people"}

    name = forms.CharField(label="Name", max_length=120, help_text="Reviewers read it as the reason.")
    approvals = WholeNumber(label="Approvals needed", least=1, most=acts.MOST, missing="Enter how many must agree.")
    machines_at_least = WholeNumber(
        label="From so many machines on", least=1, most=MOST_MACHINES, required=False, help_text="Empty: any number."
    )
    account = account_field()
    environment = forms.CharField(label="Environment", max_length=64, required=False, help_text="Empty: all of them.")
    os_family_change = forms.BooleanField(label="Only where Windows and Linux change places", required=False)
    without_snapshot = forms.BooleanField(label="Only where no snapshot is taken", required=False)
    active = forms.BooleanField(label="In force", required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_scope(self)

    def wish(self) -> acts.RuleInput:
        typed = {name: value for name, value in self.cleaned_data.items() if name != "account"}
        return acts.RuleInput(**typed, account_id=chosen_account(self))


@require_http_methods(["GET", "HEAD", "POST"])
def rules(request: Request, pk: int | None = None) -> HttpResponse:
    """List the rules; add one, or with its number change one."""
    kept = None if pk is None else QuorumRule.objects.filter(pk=pk).first()
    if pk is not None and kept is None:
        raise Http404
    form, refused = RuleForm(request.POST or None, initial=_initial(kept)), None
    if request.method == "POST" and form.is_valid():
        answer = carry_out(
            request,
            "change a rule of approval",
            lambda: acts.save_rule(actor=request.user, rule_id=pk, wish=form.wish()),
            "The rule holds for what is checked from now on.",
            to=reverse("settings-quorum"),
            form=form,
        )
        if isinstance(answer, HttpResponse):
            return answer
        refused = answer
    return _page(request, form, kept, refused)


@require_POST
def remove(request: Request, pk: int) -> HttpResponse:
    """Remove a rule."""
    answer = carry_out(
        request,
        "remove a rule of approval",
        lambda: acts.remove_rule(actor=request.user, rule_id=pk),
        "The rule is removed.",
        to=reverse("settings-quorum"),
    )
    return answer if isinstance(answer, HttpResponse) else _page(request, RuleForm(), None, answer)


def _page(request: Request, form: RuleForm, kept: QuorumRule | None, refused: Refused | None) -> HttpResponse:
    rows = QuorumRule.objects.select_related("account").order_by("-approvals", "name")
    context = {
        "form": form,
        "editing": kept,
        "refused": refused if refused and refused.kind != "wrong" else None,
        "rules": [(row, acts.conditions(row)) for row in rows],
    }
    return page(request, PAGE, context, status=status_of(refused, form))


def _initial(kept: QuorumRule | None) -> dict[str, Any]:
    if kept is None:
        return {"approvals": 2}
    names = [name for name in RuleForm.base_fields if name != "account"]
    return {name: getattr(kept, name) for name in names} | {"account": str(kept.account_id or "")}
