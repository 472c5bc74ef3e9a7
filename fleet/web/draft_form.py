"""The form of a draft: what is typed, what follows from it, and what stands against it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import QueryDict
from django.views.decorators.debug import sensitive_variables

from fleet.changes.drafting import MOST_MACHINES, Settings
from fleet.changes.editions import Edition
from fleet.changes.rules import Wish, password_problem, size_problem_of_text
from fleet.engine.policy import MOST_IN_FLIGHT, Policy
from fleet.lib.secret import Secret
from fleet.lib.text import listed
from fleet.models import Change, Login
from fleet.web.forms import Consequences, Form, fault

FORGET = "Forget the sealed password"
# Text and not number: a number field keeps from the server what it cannot read, and changes under the mouse wheel.
NUMERIC = {"class": "num", "inputmode": "numeric", "autocomplete": "off"}
OPEN_LINE = (
    "This page came over plain HTTP, so a password could be read on the way. Open Fleet OS over HTTPS to set one."
)


class DraftForm(Form):
    """Every field of a draft. `lenient` lets fields stay empty, as a draft may; what is typed must fit all the same."""

    units = {"disk_size": "GiB", "max_in_flight": "machines", "failures_allowed": "machines"}
    wide = ("title",)

    image_id = forms.CharField(label="New image", max_length=128, widget=forms.HiddenInput)
    disk_size = forms.CharField(
        label="Size",
        required=False,
        max_length=6,
        widget=forms.TextInput(attrs=NUMERIC),
        help_text="Empty: as large as now, and at least 40 GiB and the size of the image.",
    )
    login = forms.ChoiceField(label="How to sign in afterwards", choices=Login.choices, widget=Consequences)
    key_pair = forms.ChoiceField(label="Key pair", required=False)
    password = forms.CharField(
        label="Password",
        required=False,
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
    )
    forget_password = forms.BooleanField(label=FORGET, required=False)
    security_enhancement = forms.BooleanField(
        label="Install security hardening",
        required=False,
        help_text="Takes effect with public images only; with others it is accepted and does nothing.",
    )
    max_in_flight = forms.IntegerField(
        label="In flight at most", min_value=1, max_value=MOST_IN_FLIGHT, widget=forms.TextInput(attrs=NUMERIC)
    )
    failures_allowed = forms.IntegerField(
        label="Failures allowed", min_value=0, max_value=MOST_MACHINES, widget=forms.TextInput(attrs=NUMERIC)
    )
    title = forms.CharField(label="Title", max_length=120, help_text="What it does, in a few words.")
    reason = forms.CharField(
        label="Why, and how to live without these disks",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": "3"}),
        help_text="The reviewer reads this first after the loss.",
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        change: Change,
        machines: int,
        key_pairs: dict[str, list[str]],
        regions: int,
        editions: Callable[[], list[Edition]],
        safe_line: bool,
        lenient: bool = False,
        validate_url: str = "",
    ) -> None:
        self.change, self.machines, self.regions, self.lenient = change, machines, regions, lenient
        self.key_pairs, self.editions, self.safe_line = key_pairs, editions, safe_line
        super().__init__(data, initial=initial_of(change), validate_url=validate_url)
        self._offer_logins()
        self._offer_key_pairs(str(change.key_pair))
        if not change.secret or change.secret.destroyed_at:
            del self.fields["forget_password"]
        for name, words in {
            "image_id": "No image is chosen. Choose what the machines shall run.",
            "title": "There is no title yet. Say in a few words what the change does.",
            "reason": "No reason is given. Say why, and how to live without these disks.",
            "max_in_flight": "Enter how many machines may be out of service at the same time.",
            "failures_allowed": "Enter how many machines may fail before it stops; 0 stops it at the first.",
        }.items():
            self.fields[name].error_messages["required"] = words
        for name, most in (("max_in_flight", MOST_IN_FLIGHT), ("failures_allowed", MOST_MACHINES)):
            messages = self.fields[name].error_messages
            messages["invalid"] = f"This is no whole number. Enter one up to {most:,}."
            messages["max_value"] = f"Too many: enter {most:,} or less."
            messages["min_value"] = f"Too few: enter {0 if name == 'failures_allowed' else 1} or more."

    @property
    def has_sealed(self) -> bool:
        return "forget_password" in self.fields

    def _offer_logins(self) -> None:
        widget = self.fields["login"].widget
        assert isinstance(widget, Consequences)
        widget.notes = {
            str(
                Login.KEY_PAIR
            ): "Linux turns password sign-in off. Windows ignores key pairs: there a password counts.",
            str(Login.PASSWORD): "Sealed at once; nobody can read it. It is destroyed when the change ends.",
            str(Login.IMAGE): "Whatever the image was made with. Without a login in it, nobody can sign in.",
        }
        if not self.safe_line:
            widget.blocked = {str(Login.PASSWORD): OPEN_LINE}
            self.fields["password"].disabled = True
            self.fields["password"].help_text = OPEN_LINE

    def _offer_key_pairs(self, chosen: str) -> None:
        names = [("", "None")]
        for name, regions in self.key_pairs.items():
            everywhere = len(set(regions)) == self.regions
            names.append((name, name if everywhere else f"{name}, only in {listed(regions)}"))
        if chosen and chosen not in self.key_pairs:
            names.append((chosen, f"{chosen}, no longer there"))
        field = self.fields["key_pair"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = names
        field.error_messages["invalid_choice"] = "This key pair is in none of the regions. Choose one that is."

    def add_error(self, field: str | None, error: Any) -> None:
        if self.lenient and field and getattr(error, "code", "") == "required":
            # An empty field of a draft is its value.
            self.cleaned_data[field] = ""
            return
        super().add_error(field, error)

    def clean_disk_size(self) -> int | None:
        text = self.cleaned_data["disk_size"].replace(",", "").strip()
        if not text:
            return None
        if problem := size_problem_of_text(text):
            raise fault(problem.why, problem.do, code=problem.api_code)
        if int(text) == 0:
            raise fault("No disk has 0 GiB.", "Enter whole GiB such as 40, or leave it empty.")
        return int(text)

    @sensitive_variables("typed")
    def clean_password(self) -> Secret | None:
        typed = self.cleaned_data["password"]
        if not typed:
            return None
        secret = Secret(typed)
        for edition in self.editions():
            if problem := password_problem(secret, edition):
                raise fault(problem.why, problem.do, code=problem.api_code)
        return secret

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if self.lenient:
            return cleaned
        if cleaned.get("login") == Login.KEY_PAIR and not cleaned.get("key_pair") and "key_pair" not in self.errors:
            self.add_error("key_pair", fault("No key pair is chosen.", "Choose one, or another way to sign in."))
        if cleaned.get("login") == Login.PASSWORD and not self.will_have_password and "password" not in self.errors:
            self.add_error("password", fault("No password is set.", "Type one, or choose another way to sign in."))
        return cleaned

    @property
    def will_have_password(self) -> bool:
        cleaned = getattr(self, "cleaned_data", {})
        if cleaned.get("password"):
            return True
        return self.has_sealed and not cleaned.get("forget_password")

    def wish(self) -> Wish:
        """Return what is asked for as far as it can be read; a field in error counts as it was saved last."""
        kept = self.settings()
        return Wish(
            image_id=kept.image_id,
            size=kept.disk_size,
            login=kept.login,
            key_pair=kept.key_pair,
            has_password=self.will_have_password if self.is_bound else self.change.secret_id is not None,
        )

    def policy(self) -> Policy:
        saved = Policy.of(self.change.policy)
        cleaned = getattr(self, "cleaned_data", {})
        in_flight, failures = cleaned.get("max_in_flight"), cleaned.get("failures_allowed")
        return Policy(
            max_in_flight=in_flight if isinstance(in_flight, int) else saved.max_in_flight,
            failures_allowed=failures if isinstance(failures, int) else saved.failures_allowed,
        )

    def settings(self) -> Settings:
        """Return what can be saved: every field that fits as it was typed, the others as they were."""
        cleaned, change = getattr(self, "cleaned_data", {}), self.change
        if not self.is_bound:
            cleaned = {}
        return Settings(
            title=cleaned.get("title", change.title),
            reason=cleaned.get("reason", change.reason),
            image_id=cleaned.get("image_id", change.image_id),
            disk_size=cleaned.get("disk_size", change.disk_size),
            login=cleaned.get("login", change.login),
            key_pair=cleaned.get("key_pair", change.key_pair),
            password=cleaned.get("password"),
            forget_password=bool(cleaned.get("forget_password")),
            security_enhancement=cleaned.get("security_enhancement", change.security_enhancement),
            policy=self.policy(),
        )


def initial_of(change: Change) -> dict[str, Any]:
    """Return the saved draft as the form shows it; a password is never part of it."""
    return {
        "image_id": change.image_id,
        "disk_size": "" if change.disk_size is None else str(change.disk_size),
        "login": change.login,
        "key_pair": change.key_pair,
        "security_enhancement": change.security_enhancement,
        "title": change.title,
        "reason": change.reason,
        **Policy.of(change.policy).as_json(),
    }
