"""Signing in and out: Django's own views with our templates, put on the audit trail, and limited for anybody who guesses."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.crypto import salted_hmac
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

from fleet.audit.trail import record
from fleet.lib.clock import DatabaseClock
from fleet.lib.text import count
from fleet.models import AuditEvent, User

TRIES = 5
WITHIN = timedelta(minutes=15)
UNKNOWN = "unknown name"


@dataclass(frozen=True)
class Tries:
    """How many tries a name has left from one address, and for how many minutes it waits when none is."""

    left: int
    minutes: int = 0


def tries(*, typed: str, address: str) -> Tries:
    """Return the tries left to this name from `address`: refusals on the audit trail count, of 15 minutes, since a success."""
    now = DatabaseClock().now()
    events = AuditEvent.objects.filter(
        action__in=("person.signed_in", "person.sign_in_refused"),
        at__gt=now - WITHIN,
        data__address=address,
        data__tried=_trace(typed),
    )
    success = events.filter(action="person.signed_in").aggregate(last=Max("number"))["last"] or 0
    refused = events.filter(data__counts=True, number__gt=success).order_by("-number")
    times = list(refused.values_list("at", flat=True)[:TRIES])
    if len(times) < TRIES:
        return Tries(TRIES - len(times))
    return Tries(0, max(1, -int((now - times[-1] - WITHIN).total_seconds() // 60)))


class SignInForm(AuthenticationForm):
    """Name and password; one sentence for a wrong name and a wrong password alike."""

    use_required_attribute = False
    error_messages = {
        "invalid_login": "Name and password do not fit together.",
        "inactive": "Name and password do not fit together.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in (("username", "Name"), ("password", "Password")):
            field = self.fields[name]
            field.label = label
            field.error_messages["required"] = f"{label} is missing."
            field.widget.attrs.update({"class": "input wide", "aria-describedby": "form-errors"})
        if self.is_bound:
            self.fields["username"].widget.attrs["autofocus"] = False  # the sentence about the error takes the focus

    def clean(self) -> dict[str, Any]:
        typed = self.cleaned_data.get("username")
        if typed and "password" in self.cleaned_data and self.request is not None:
            state = tries(typed=typed, address=address_of(self.request))
            if not state.left:
                raise forms.ValidationError(_wait(state.minutes), code="throttled")
        return super().clean()


@method_decorator(login_not_required, name="dispatch")
class SignIn(LoginView):
    """The sign-in page. `next` is followed only to this site itself (Django's own check)."""

    template_name = "frame/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        data = {"address": address_of(self.request), "tried": _trace(user.get_username())}
        with transaction.atomic():
            login(self.request, user)
            record(action="person.signed_in", subject=user.get_username(), actor=user, data=data)
        return redirect(self.get_success_url())

    def form_invalid(self, form: Any) -> HttpResponse:
        """Put the refusal on the audit trail. A name that no person has is not written there: it may be a password."""
        codes = {error.code for error in form.non_field_errors().as_data()}
        if codes:
            typed, address = form.cleaned_data.get("username", ""), address_of(self.request)
            name = _known_as(typed)
            guessed = "throttled" not in codes
            data = {"address": address, "tried": _trace(typed), "counts": guessed}
            record(action="person.sign_in_refused", subject=name, actor_name=name, data=data)
            if guessed:
                form.errors["__all__"].data[0].message += " " + _warn(tries(typed=typed, address=address))
        return self.render_to_response(self.get_context_data(form=form), status=422)


@require_POST
@login_not_required
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session. Without one nothing happens."""
    user = request.user
    with transaction.atomic():
        if isinstance(user, User):
            data = {"address": address_of(request)}
            record(action="person.signed_out", subject=user.get_username(), actor=user, data=data)
        logout(request)
    return redirect("sign-in")


def address_of(request: HttpRequest) -> str:
    """Return the address that the connection came from; a trusted proxy has put the client's there."""
    return str(request.META.get("REMOTE_ADDR") or "local")


def _known_as(typed: str) -> str:
    """Return the typed name if a person has it, else the words that stand for every other name."""
    known = User.objects.filter(username=typed).values_list("username", flat=True).first()
    return known or UNKNOWN


def _trace(typed: str) -> str:
    """Return a keyed hash of what was typed, which tells two names apart: the text may be a password in the wrong field."""
    return salted_hmac("fleet.web.sign_in", typed, algorithm="sha256").hexdigest()[:16]


def _warn(state: Tries) -> str:
    if not state.left:
        return _wait(state.minutes)
    return f"{count(state.left, 'more try', 'more tries')}, then this name waits 15 min."


def _wait(minutes: int) -> str:
    return f"Too many tries with this name from this address: wait {minutes} min, then try again."
