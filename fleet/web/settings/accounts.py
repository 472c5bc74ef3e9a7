"""Settings: accounts. Every act is a form of its own, and people who may not do it read why."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpResponse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from fleet.administration import accounts as acts
from fleet.administration.authority import administers
from fleet.lib.clock import DatabaseClock
from fleet.lib.secret import Secret
from fleet.models import Account
from fleet.web.frame.context import is_late
from fleet.web.settings.page import carry_out, go_to, page
from fleet.web.shared.forms import Form, WholeNumber
from fleet.web.shared.htmx import Request

LIST, ONE = "settings/accounts.html", "settings/account.html"
PROVIDER_QUOTA = 200
EDITIONS = [("2026", "2026: the API as it is today"), ("2018", "2018: the old reference")]


class AccountForm(Form):
    """The settings of an account, without its credential."""

    units = {"replace_quota": "a minute"}
    wide = ("regions", "endpoint")

    name = forms.CharField(label="Name", max_length=64)
    edition = forms.ChoiceField(label="Edition", choices=EDITIONS)
    regions = forms.CharField(
        label="Regions", max_length=2000, help_text="Ids such as cn-hangzhou, with spaces between."
    )
    endpoint = forms.CharField(
        label="Endpoint",
        max_length=200,
        required=False,
        help_text="host:port. Empty: the public endpoint of each region.",
    )
    replace_quota = WholeNumber(
        label="Replacements at most",
        least=1,
        most=PROVIDER_QUOTA,
        initial=180,
        help_text="In each region. The provider allows 200; leave some for others.",
    )

    def as_input(self) -> acts.AccountInput:
        typed = self.cleaned_data
        return acts.AccountInput(
            name=typed["name"],
            edition=typed["edition"],
            regions=typed["regions"].replace(",", " ").split(),
            endpoint=typed["endpoint"],
            replace_quota=typed["replace_quota"],
        )


class KeyForm(Form):
    """An access key. A secret that was typed is never part of a page again."""

    access_key_id = forms.CharField(
        label="AccessKey ID", max_length=128, widget=forms.TextInput({"autocomplete": "off"})
    )
    access_key_secret = forms.CharField(
        label="AccessKey secret",
        max_length=256,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
        help_text="Sealed at once; only the worker opens it, and no page shows it again.",
    )

    def key(self) -> dict[str, Any]:
        return {
            "access_key_id": self.cleaned_data["access_key_id"],
            "access_key_secret": Secret(self.cleaned_data["access_key_secret"]),
        }


class NewAccountForm(AccountForm, KeyForm):
    """A new account with its access key."""

    field_order = ("name", "edition", "regions", "endpoint", "replace_quota", "access_key_id", "access_key_secret")


@sensitive_post_parameters("access_key_secret")
@require_http_methods(["GET", "HEAD", "POST"])
def accounts(request: Request) -> HttpResponse:
    """List the accounts; add one."""
    form, answer = NewAccountForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        answer = carry_out(
            request,
            "add an account",
            lambda: acts.add_account(actor=request.user, given=form.as_input(), **form.key()),
            "The account is added, in observe. Its machines are being read.",
            form=form,
            then=go_to(request, "accounts"),
        )
    if answer:
        return answer
    return page(request, LIST, {"form": form, "accounts": list(_rows().order_by("name"))}, form)


@require_http_methods(["GET", "HEAD", "POST"])
def account(request: Request, pk: int) -> HttpResponse:
    """Show one account: what may be done in it, and when its regions were read; POST changes its settings."""
    form, answer = AccountForm(request.POST or None, initial=_initial(_account_or_404(pk))), None
    if request.method == "POST" and form.is_valid():
        change = partial(acts.change_account, given=form.as_input())
        answer = _carry_out(request, pk, "change an account", change, "Saved.", form)
    return answer or _page(request, pk, form=form)


@sensitive_post_parameters("access_key_secret")
@require_POST
def credential(request: Request, pk: int) -> HttpResponse:
    """Replace the access key."""
    _account_or_404(pk)
    form, answer = KeyForm(request.POST), None
    if form.is_valid():
        replace = partial(acts.replace_credential, now=DatabaseClock().now(), **form.key())
        message = "The new key is sealed and the old one destroyed. The account is in observe."
        answer = _carry_out(request, pk, "replace the credential of an account", replace, message, form)
    return answer or _page(request, pk, key=form)


@require_POST
def act(request: Request, pk: int, what: str) -> HttpResponse:
    """Ask for execution or for lifting the guard, agree to that, or take either away."""
    now = DatabaseClock().now()
    known: dict[str, tuple[Callable[..., object], str]] = {
        "ask": (partial(acts.ask_execution, now=now), "Asked. Another administrator switches execution on."),
        "on": (partial(acts.switch_execution_on, now=now), "Execution is on."),
        "off": (acts.switch_execution_off, "The account is in observe."),
        "ask-lift": (acts.ask_lifting, "Asked. Another administrator lifts the guard."),
        "lift": (acts.lift_guard, "The guard is lifted."),
        "guard": (acts.set_guard, "Only machines with the tag are changed."),
    }
    if what not in known:
        raise Http404
    do, message = known[what]
    form = AccountForm(initial=_initial(_account_or_404(pk)))
    return _carry_out(request, pk, "change what an account may do", do, message, form) or _page(request, pk, form=form)


def _carry_out(
    request: Request, pk: int, act: str, do: Callable[..., object], message: str, form: Form
) -> HttpResponse | None:
    """Carry out an act on one account, and go to its page."""
    then = go_to(request, "account", pk)
    return carry_out(request, act, lambda: do(actor=request.user, account_id=pk), message, form=form, then=then)


def _page(request: Request, pk: int, *, form: AccountForm | None = None, key: KeyForm | None = None) -> HttpResponse:
    account = _account_or_404(pk)
    now = DatabaseClock().now()
    mirrors = {mirror.region: mirror for mirror in account.mirrors.all()}
    regions = [(region, mirrors.get(region)) for region in account.regions]
    form, key = form or AccountForm(initial=_initial(account)), key or KeyForm()
    context = {
        "account": account,
        "form": form,
        "key": key,
        "keeper": administers(request.user, account.pk),
        "lifting": acts.lifting_asked(account),
        "regions": [
            (region, mirror, is_late(now, mirror.synced_at, mirror.instances) if mirror else True)
            for region, mirror in regions
        ],
        "now": now,
    }
    return page(request, ONE, context, form, key)


def _initial(account: Account) -> dict[str, Any]:
    names = ("name", "edition", "endpoint", "replace_quota")
    return {name: getattr(account, name) for name in names} | {"regions": " ".join(account.regions)}


def _account_or_404(pk: int) -> Account:
    account: Account | None = _rows().prefetch_related("mirrors").filter(pk=pk).first()
    if account is None:
        raise Http404
    return account


def _rows() -> QuerySet[Account, Any]:
    """Return the accounts with how many machines each has, and how many of them carry the tag of the guard."""
    present = Q(instances__gone_at=None)
    tagged = present & Q(instances__tags__contains={"fleet-os": "allowed"})
    related = ("credential", "execution_asked_by", "execution_on_by")
    return Account.objects.select_related(*related).annotate(
        machines=Count("instances", filter=present), allowed=Count("instances", filter=tagged)
    )
