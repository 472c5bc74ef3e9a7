"""The part of a draft's form that says when the change may run."""

from datetime import UTC, datetime
from typing import Any

from django import forms

from fleet.changes.drafting.settings import window_faults
from fleet.models import Change
from fleet.web.shared.forms import Form, fault

MOMENT = "%Y-%m-%dT%H:%M"
IN_WINDOW = frozenset({"calendar", "not_before", "not_after"})
READ = (MOMENT, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")


def moment(label: str, words: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(format=MOMENT, attrs={"type": "datetime-local", "autocomplete": "off"})
    fact = "This is no date with a time. Enter one such as 2026-11-30 22:00, in UTC."
    return forms.DateTimeField(
        label=label,
        required=False,
        input_formats=READ,
        widget=widget,
        help_text=words,
        error_messages={"invalid": fact},
    )


class WindowForm(Form):
    """When a change may run. What was not sent stays as it was saved."""

    calendar = forms.ChoiceField(label="Only while this calendar is open", required=False)
    not_before = moment("Not before", "UTC. Empty: as soon as it is approved and started.")
    not_after = moment("Not after", "UTC. Nothing new begins then; what is in flight is driven to its end.")

    change: Change
    now: datetime

    def offer_calendars(self, calendars: list[tuple[int, str]]) -> None:
        """Fill the select with the calendars that a change may name."""
        field = self.fields["calendar"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "Any time"), *((str(pk), name) for pk, name in calendars)]
        field.error_messages["invalid_choice"] = "This calendar is not in use. Choose one from the list, or any time."
        field.help_text = "A window that is missed lets the change expire; it is never carried out late."
        if not calendars:
            field.help_text = "There is no calendar of openings yet. An administrator makes one."

    def clean_window(self) -> None:
        for name, fact, do in window_faults(self.window_of("not_before"), self.window_of("not_after"), self.now):
            if name not in self.errors:
                self.add_error(name, fault(fact, do))

    def window_of(self, name: str) -> datetime | None:
        """Return `not_before` or `not_after` as it was typed, or as it was saved where it was not sent or has an error."""
        cleaned = getattr(self, "cleaned_data", {}) if self.is_bound else {}
        saved: datetime | None = getattr(self.change, name)
        asked: datetime | None = cleaned[name] or None if name in cleaned and name in self.data else saved
        return asked

    def calendar_id(self) -> int | None:
        cleaned = getattr(self, "cleaned_data", {}) if self.is_bound else {}
        if "calendar" not in cleaned or "calendar" not in self.data:
            return self.change.calendar_id
        return int(cleaned["calendar"]) if cleaned["calendar"] else None


def initial_window(change: Change) -> dict[str, Any]:
    """Return the saved window as the form shows it."""
    return {
        "calendar": str(change.calendar_id or ""),
        "not_before": change.not_before.astimezone(UTC) if change.not_before else None,
        "not_after": change.not_after.astimezone(UTC) if change.not_after else None,
    }
