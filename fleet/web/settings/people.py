"""Settings: people and their roles; and the page where a person with a code chooses a password."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from fleet.administration import people as acts
from fleet.administration.authority import administers
from fleet.audit.trail import record
from fleet.lib.refused import Refused
from fleet.lib.secret import Secret
from fleet.models import Grant, Role, User
from fleet.web.frame.sign_in import address_of
from fleet.web.settings.page import account_field, carry_out, chosen_account, go_to, offer_scope, page
from fleet.web.shared.forms import Consequences, Form, fault
from fleet.web.shared.htmx import Request, redirect_to
from fleet.web.shared.numbers import id_of
from fleet.web.shared.refusals import record_refusal

LIST, ONE, CHOOSE = "settings/people.html", "settings/person.html", "frame/choose_password.html"
NOTES = {
    Role.VIEWER: "Sees machines, changes and their runs.",
    Role.OPERATOR: "Drafts changes, starts, pauses and ends them.",
    Role.APPROVER: "Reviews and approves changes of others.",
    Role.AUDITOR: "Reads and exports the audit trail.",
    Role.ADMIN: "Keeps accounts, people and rules.",
}


class GrantForm(Form):
    """A role and where it holds."""

    role = forms.ChoiceField(
        label="Role", choices=Role.choices, widget=Consequences(notes={str(role): NOTES[role] for role in Role})
    )
    account = account_field()
    environment = forms.CharField(label="Environment", max_length=64, required=False, help_text="Empty: all of them.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_scope(self)

    def as_input(self) -> acts.GrantInput:
        return acts.GrantInput(self.cleaned_data["role"], chosen_account(self), self.cleaned_data["environment"])


class PersonForm(GrantForm):
    """A new person with a first role."""

    field_order = ("name", "email", "role", "account", "environment")

    name = forms.CharField(label="Name", max_length=64, help_text="To sign in with.")
    email = forms.CharField(label="E-mail", max_length=254, required=False, help_text="For notifications.")


class ChooseForm(Form):
    """A code and a new password, twice."""

    wide = ("name", "code", "password", "again")

    name = forms.CharField(label="Name", max_length=150, widget=forms.TextInput({"autocomplete": "username"}))
    code = forms.CharField(label="Code", max_length=80, widget=forms.TextInput({"autocomplete": "off"}))
    password = forms.CharField(
        label="New password",
        max_length=128,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
        help_text="At least 12 characters.",
    )
    again = forms.CharField(
        label="The same once more",
        max_length=128,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if "password" in self.cleaned_data and again != self.cleaned_data["password"]:
            raise fault("The two passwords differ. Type the same one twice.")
        return again


@require_http_methods(["GET", "HEAD", "POST"])
def people(request: Request) -> HttpResponse:
    """List people with their roles; add one. Administrators alone see it."""
    if not _may_see(request.user):
        return _not_yours(request)
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        answer = carry_out(
            request,
            "add a person",
            lambda: acts.add_person(
                actor=request.user, name=typed["name"], email=typed["email"], given=form.as_input()
            ),
            "Added. Make a code for them to choose a password with.",
            form=form,
            then=lambda person: redirect_to(request, "person", person.pk),
        )
        if answer:
            return answer
    grants = Grant.objects.select_related("account").order_by("role", "pk")
    everybody = User.objects.order_by("-is_active", "username").prefetch_related(Prefetch("grants", queryset=grants))
    rows = [(person, [acts.words_of(grant) for grant in person.grants.all()]) for person in everybody]
    return page(request, LIST, {"form": form, "people": rows}, form)


@require_http_methods(["GET", "HEAD", "POST"])
def person(request: Request, pk: int) -> HttpResponse:
    """Show one person; POST grants a role."""
    if not _may_see(request.user):
        return _not_yours(request)
    person, answer = _person_or_404(pk), None
    form = GrantForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        do = partial(acts.grant, given=form.as_input())
        message = f"Granted. It holds from {person}'s next click on."
        answer = _carry_out(request, person, "grant a role", do, message, form)
    return answer or _page(request, person, form)


@require_POST
def act(request: Request, pk: int, what: str) -> HttpResponse:
    """Take a role away, deactivate, or activate."""
    person, form = _person_or_404(pk), GrantForm()
    known: dict[str, tuple[Callable[..., object], str]] = {
        "revoke": (partial(acts.revoke, grant_id=id_of(request.POST.get("grant"))), "The role is taken away."),
        "deactivate": (partial(acts.set_active, active=False), f"{person} cannot sign in any more."),
        "activate": (partial(acts.set_active, active=True), f"{person} can sign in again."),
    }
    if what not in known:
        raise Http404
    do, message = known[what]
    answer = _carry_out(request, person, f"{what} {person}", do, message, form)
    if answer is None and not _may_see(request.user):
        return _not_yours(request)
    return answer or _page(request, person, form)


@never_cache
@require_POST
def invite(request: Request, pk: int) -> HttpResponse:
    """Make a code to choose a password with; it is shown in this answer alone."""
    person, form = _person_or_404(pk), GrantForm()
    try:
        code = acts.invite(actor=request.user, person_id=pk)
    except Refused as refused:
        record_refusal(request, refused, act=f"make a code for {person}")
        form.refuse(refused)
        return _page(request, person, form) if _may_see(request.user) else _not_yours(request)
    return _page(request, person, form, code=code)


@never_cache
@sensitive_post_parameters()
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def choose_password(request: HttpRequest) -> HttpResponse:
    """Let whoever has a code choose a password."""
    form = ChooseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        try:
            acts.choose_password(name=typed["name"], code=Secret(typed["code"]), password=Secret(typed["password"]))
        except Refused as refused:
            form.refuse(refused)
            if not refused.field:  # the name may be anything, even a password in the wrong field
                data = {"address": address_of(request)}
                record(action="person.sign_in_refused", subject="a code", actor_name="unknown name", data=data)
        else:
            messages.success(request, "The password is set. Sign in with it.", extra_tags="ok")
            return redirect("sign-in")
    return render(request, CHOOSE, {"form": form}, status=422 if form.errors else 200)


def _carry_out(
    request: Request, person: User, act: str, do: Callable[..., object], message: str, form: Form
) -> HttpResponse | None:
    """Carry out an act on one person, and go to their page."""
    then = go_to(request, "person", person.pk)
    return carry_out(request, act, lambda: do(actor=request.user, person_id=person.pk), message, form=form, then=then)


def _page(request: Request, person: User, form: GrantForm, *, code: Secret | None = None) -> HttpResponse:
    grants = person.grants.select_related("account").order_by("role", "pk")
    context = {
        "person": person,
        "grants": [(grant, acts.words_of(grant), administers(request.user, grant.account_id)) for grant in grants],
        "form": form,
        "own": person.pk == request.user.pk,
        "code": code.reveal() if code else "",
        "choose": request.build_absolute_uri(reverse("choose-password")),
    }
    return page(request, ONE, context, form)


def _may_see(user: User) -> bool:
    return Grant.objects.filter(user=user, role=Role.ADMIN).exists()


def _not_yours(request: Request) -> HttpResponse:
    form = PersonForm()
    form.refuse(Refused("People and their roles are for administrators. Ask one.", kind="forbidden"))
    return page(request, LIST, {"people": []}, form)


def _person_or_404(pk: int) -> User:
    person = User.objects.filter(pk=pk).first()
    if person is None:
        raise Http404
    return person
