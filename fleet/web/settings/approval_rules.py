"""Settings: how many approvals a change needs, by what it does and where."""

from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.views.decorators.http import require_http_methods, require_POST

from fleet.administration import approval_rules as acts
from fleet.models import QuorumRule
from fleet.web.settings.page import account_field, carry_out, chosen_account, go_to, offer_scope, page
from fleet.web.shared.forms import Form, WholeNumber
from fleet.web.shared.htmx import Request

PAGE = "settings/quorum.html"
MOST_MACHINES = 1_000_000


class RuleForm(Form):
    """A rule of approval: how many approvals are needed, and the conditions under which it applies."""

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

    def as_input(self) -> acts.RuleInput:
        typed = {name: value for name, value in self.cleaned_data.items() if name != "account"}
        return acts.RuleInput(**typed, account_id=chosen_account(self))


@require_http_methods(["GET", "HEAD", "POST"])
def rules(request: Request, pk: int | None = None) -> HttpResponse:
    """List the rules; add one, or with its number change one."""
    rule = None if pk is None else QuorumRule.objects.filter(pk=pk).first()
    if pk is not None and rule is None:
        raise Http404
    form, answer = RuleForm(request.POST or None, initial=_initial(rule)), None
    if request.method == "POST" and form.is_valid():
        answer = carry_out(
            request,
            "change a rule of approval",
            lambda: acts.save_rule(actor=request.user, rule_id=pk, given=form.as_input()),
            "The rule holds for what is checked from now on.",
            form=form,
            then=go_to(request, "settings-quorum"),
        )
    return answer or _page(request, form, rule)


@require_POST
def remove(request: Request, pk: int) -> HttpResponse:
    """Remove a rule."""
    form = RuleForm(initial=_initial(None))
    answer = carry_out(
        request,
        "remove a rule of approval",
        lambda: acts.remove_rule(actor=request.user, rule_id=pk),
        "The rule is removed.",
        form=form,
        then=go_to(request, "settings-quorum"),
    )
    return answer or _page(request, form, None)


def _page(request: Request, form: RuleForm, rule: QuorumRule | None) -> HttpResponse:
    rows = QuorumRule.objects.select_related("account").order_by("-approvals", "name")
    context = {
        "form": form,
        "editing": rule,
        "rules": [(row, acts.conditions(row)) for row in rows],
    }
    return page(request, PAGE, context, form)


def _initial(rule: QuorumRule | None) -> dict[str, Any]:
    if rule is None:
        return {"approvals": 2}
    names = [name for name in RuleForm.base_fields if name != "account"]
    return {name: getattr(rule, name) for name in names} | {"account": str(rule.account_id or "")}
