"""The form of a draft: its fields, the settings that are typed into them, and their errors."""

from datetime import datetime
from typing import Any

from django import forms
from django.http import QueryDict
from django.views.decorators.debug import sensitive_variables

from fleet.changes.drafting.choices import DraftChoices
from fleet.changes.drafting.settings import MOST_SNAPSHOT_DAYS, Settings
from fleet.changes.judging.images import AccountRegion, by_hand_of
from fleet.changes.judging.refusals import DiskRequest, password_problem, size_problem_of_text
from fleet.guards.policy import Policy
from fleet.lib.secret import Secret
from fleet.lib.text import listed
from fleet.models import Change, Login
from fleet.web.change.draft.places import BELONGS, by_hand_in
from fleet.web.change.draft.rollout_form import RolloutForm, initial_rollout
from fleet.web.change.draft.window_form import IN_WINDOW, WindowForm, initial_window
from fleet.web.shared.forms import NUMERIC, Consequences, WholeNumber, fault

FORGET = "Forget the sealed password"
USUAL_DAYS = 14
OPEN_LINE = (
    "This page came over plain HTTP, so a password could be read on the way. Open Fleet OS over HTTPS to set one."
)


class DraftForm(RolloutForm, WindowForm):
    """Every field of a draft. With `lenient` fields may be empty, as a draft may be; what is typed must be valid even so."""

    units = RolloutForm.units | {"disk_size": "GiB", "snapshot_days": "days"}
    wide = ("title", "ticket")
    usual = RolloutForm.usual | IN_WINDOW | {"snapshot_days"}

    image_id = forms.CharField(
        label="New image",
        max_length=128,
        widget=forms.HiddenInput,
        error_messages={"required": "No image is chosen. Choose what the machines shall run."},
    )
    disk_size = forms.CharField(
        label="Size",
        required=False,
        max_length=6,
        widget=forms.TextInput(attrs=NUMERIC),
        help_text="Empty: as large as now, and at least 40 GiB and the size of the image.",
    )
    snapshot = forms.BooleanField(label="Take a snapshot of each old disk before it is destroyed", required=False)
    snapshot_days = WholeNumber(
        label="Kept for",
        least=1,
        most=MOST_SNAPSHOT_DAYS,
        required=False,
        missing="Enter for how many days it is kept.",
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
    title = forms.CharField(
        label="Title",
        max_length=120,
        help_text="What it does, in a few words.",
        error_messages={"required": "There is no title yet. Say in a few words what the change does."},
    )
    reason = forms.CharField(
        label="Why, and how to live without these disks",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": "3"}),
        help_text="The reviewer reads this first after the loss.",
        error_messages={"required": "No reason is given. Say why, and how to live without these disks."},
    )
    rollback_plan = forms.CharField(
        label="What to do if it goes wrong",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": "2"}),
        help_text="Who is asked, which undo, which backup.",
    )
    ticket = forms.URLField(
        label="Ticket",
        required=False,
        max_length=500,
        assume_scheme="https",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}),
        error_messages={"invalid": "This is no address. Enter one such as https://tickets.example.com/CHG-1190."},
        help_text="The address of it, where there is one.",
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        change: Change,
        choices: DraftChoices,
        now: datetime,
        safe_line: bool,
        lenient: bool = False,
        validate_url: str = "",
    ) -> None:
        self.change, self.choices, self.now, self.lenient, self.safe_line = change, choices, now, lenient, safe_line
        self.saved = Policy.of(change.policy)
        super().__init__(data, initial=initial_of(change), validate_url=validate_url)
        self._offer_logins()
        self._offer_key_pairs(str(change.key_pair))
        self.offer_rollout(tag_keys=choices.tag_keys, webhooks=choices.webhooks)
        self.offer_calendars(choices.calendars)
        self.fields["image_id"].required = change.undoes_id is None
        if not change.secret or change.secret.destroyed_at:
            del self.fields["forget_password"]

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
        for name, regions in self.choices.key_pairs.items():
            everywhere = len(set(regions)) == self.choices.regions
            names.append((name, name if everywhere else f"{name}, only in {listed(regions)}"))
        if chosen and chosen not in self.choices.key_pairs:
            names.append((chosen, f"{chosen}, no longer there"))
        field = self.fields["key_pair"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = names
        field.error_messages["invalid_choice"] = "This key pair is in none of the regions. Choose one that is."

    def add_error(self, field: str | None, error: Any) -> None:
        if self.lenient and field and getattr(error, "code", "") == "required":
            # A draft may leave the field empty.
            self.cleaned_data[field] = ""
            return
        super().add_error(field, error)

    def is_complete(self) -> bool:
        """Validate once more, now for a review: from here on the errors are all that stands in its way."""
        self.lenient = False
        self.full_clean()
        return self.is_valid()

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
        for edition in self.choices.editions:
            if problem := password_problem(secret, edition):
                raise fault(problem.why, problem.do, code=problem.api_code)
        return secret

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        self.clean_window()
        if self.lenient:
            return cleaned
        self.clean_rollout()
        if cleaned.get("snapshot") and cleaned.get("snapshot_days") is None and "snapshot_days" not in self.errors:
            self.add_error("snapshot_days", fault(self.fields["snapshot_days"].missing))  # type: ignore[attr-defined]
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

    def disk_request(self) -> DiskRequest:
        """Return what is asked of each machine; a field in error counts as it was saved last."""
        settings = self.settings()
        return DiskRequest(
            image_id=settings.image_id,
            size=settings.disk_size,
            login=settings.login,
            key_pair=settings.key_pair,
            has_password=self.will_have_password if self.is_bound else self.change.secret_id is not None,
            by_hand=self.by_hand(),
        )

    def snapshot_days_asked(self) -> int | None:
        """Return for how many days a snapshot of each old disk is kept, None for no snapshot."""
        if not self.is_bound or "snapshot_days" not in self.data:
            return self.change.snapshot_days
        if not self.cleaned_data.get("snapshot"):
            return None
        return self.cleaned_data.get("snapshot_days") or self.change.snapshot_days or USUAL_DAYS

    def by_hand(self) -> dict[AccountRegion, str]:
        """Return the images that a person chose for some places; they belong to the image that is chosen now."""
        image_id = self._typed_or_saved("image_id")
        if not self.is_bound or BELONGS not in self.data:
            return by_hand_of(self.change) if image_id == self.change.image_id else {}
        return by_hand_in(self.data, self.choices.places, image_id)

    def settings(self) -> Settings:
        """Return what can be saved: every valid field as it was typed, the others as they were saved last."""
        cleaned, change = getattr(self, "cleaned_data", {}), self.change
        if not self.is_bound:
            cleaned = {}
        return Settings(
            title=self._typed_or_saved("title"),
            reason=self._typed_or_saved("reason"),
            image_id=self._typed_or_saved("image_id"),
            disk_size=cleaned["disk_size"] if self._sent("disk_size") else change.disk_size,
            login=self._typed_or_saved("login"),
            key_pair=self._typed_or_saved("key_pair"),
            password=cleaned.get("password"),
            forget_password=bool(cleaned.get("forget_password")),
            security_enhancement=cleaned.get("security_enhancement", change.security_enhancement),
            policy=self.policy(),
            images=self.by_hand(),
            snapshot_days=self.snapshot_days_asked(),
            ticket=self._typed_or_saved("ticket"),
            rollback_plan=self._typed_or_saved("rollback_plan"),
            calendar=self.calendar_id(),
            not_before=self.window_of("not_before"),
            not_after=self.window_of("not_after"),
        )

    def _typed_or_saved(self, name: str) -> str:
        return str(self.cleaned_data[name] if self._sent(name) else getattr(self.change, name))

    def _sent(self, name: str) -> bool:
        """Say whether a field was sent and is valid; one that was not sent stays as it was saved."""
        return self.is_bound and name in getattr(self, "cleaned_data", {}) and name in self.data


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
        "snapshot": change.snapshot_days is not None,
        "snapshot_days": change.snapshot_days or USUAL_DAYS,
        "ticket": change.ticket,
        "rollback_plan": change.rollback_plan,
        **initial_rollout(Policy.of(change.policy)),
        **initial_window(change),
    }
