"""The base of every form: its widgets, the feedback under each field, and errors that say what to do."""

import re
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from fleet.lib.refused import Refused

NUMERIC = {"class": "num", "inputmode": "numeric", "autocomplete": "off"}
NO_NULL = "It holds a character that no text has (NUL). Type it again."
TOO_LONG = "This has %(show_value)d characters, and %(limit_value)d is the most. Shorten it."
STATUSES = ("bad", "warn", "run", "ok")
GLYPHS = {"bad": "bad", "warn": "warn", "run": "run", "ok": "check"}


@dataclass(frozen=True)
class Line:
    """One line under a field: the `fact`, what to `do` about it, and the `code` of the API's error."""

    status: str
    fact: str
    do: str = ""
    code: str = ""

    @property
    def glyph(self) -> str:
        return GLYPHS[self.status]


def fault(fact: str, do: str = "", *, code: str = "") -> ValidationError:
    """Return an error in two parts: the fact, then what to do; `code` is the API's, shown last so that it can be looked up."""
    error = ValidationError(f"{fact} {do}".strip(), code=code or "refused")
    error.line = Line("bad", fact, do, code)  # type: ignore[attr-defined]
    return error


def feedback(field: BoundField) -> list[Line]:
    """Return the lines under `field`: its errors, then what the form says of it besides."""
    errors = field.errors.as_data() if field.form.is_bound else []
    lines = [_line(error) for error in errors]
    remarks = getattr(field.form, "remarks", {}).get(field.name, [])
    return lines + sorted(remarks, key=lambda line: STATUSES.index(line.status))


def _line(error: ValidationError) -> Line:
    known: Line | None = getattr(error, "line", None)
    return known or Line("bad", " ".join(error.messages))


class Consequences(forms.RadioSelect):
    """Radio buttons that say what each choice leads to.

    `notes` are shown below the label and `ends` at its right; `blocked` says why a choice cannot be made. All by value.
    """

    template_name = "shared/choices.html"

    def __init__(
        self,
        *,
        notes: dict[str, str] | None = None,
        ends: dict[str, str] | None = None,
        blocked: dict[str, str] | None = None,
        attrs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(attrs)
        self.notes, self.ends, self.blocked = notes or {}, ends or {}, blocked or {}

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        key = str(value)
        option["note"] = self.blocked.get(key) or self.notes.get(key, "")
        option["end"] = self.ends.get(key, "")
        if key in self.blocked:
            option["attrs"]["disabled"] = True
        return option


class WholeNumber(forms.IntegerField):
    """A whole number from `least` to `most`; thousands separators are allowed, and every error names the limit.

    The input is of type text: a number input sends nothing when it cannot read what was typed, and the mouse wheel
    changes it.
    """

    def __init__(self, *, least: int, most: int, missing: str = "", **kwargs: Any) -> None:
        widget = forms.TextInput(attrs=NUMERIC | {"maxlength": "9"})
        super().__init__(min_value=least, max_value=most, widget=widget, **kwargs)
        widget.attrs.pop("min", None)
        widget.attrs.pop("max", None)
        self.error_messages |= {
            "invalid": f"This is no whole number. Enter one up to {most:,}.",
            "max_value": f"Too many: enter {most:,} or less.",
            "min_value": f"Too few: enter {least:,} or more.",
        }
        self.missing = missing

    def to_python(self, value: Any) -> int | None:
        text = str(value if value is not None else "").replace(",", "").strip()
        if text and not re.fullmatch(r"-?[0-9]{1,12}", text):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return int(text) if text else None


class Form(forms.Form):
    """A form as all pages show it.

    `units` puts a unit behind a number, and `wide` makes an input as wide as the form. A field that may stay empty says so
    beside its label, except those in `usual`, which have a usual value. With `validate_url` each control posts the whole
    form there after a pause (`{url}` + field name + `/`): answer with `validated`.
    """

    units: dict[str, str] = {}
    wide: tuple[str, ...] = ()
    usual: frozenset[str] = frozenset()
    validate_url: str = ""
    use_required_attribute = False  # else the browser's own messages would appear in place of ours

    def __init__(self, *args: Any, validate_url: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.validate_url = validate_url or self.validate_url
        self.remarks: dict[str, list[Line]] = {}
        self.refused: Refused | None = None
        for name, field in self.fields.items():
            self._prepare(name, field)

    def say(self, name: str, status: str, fact: str, do: str = "", *, code: str = "") -> None:
        """Show something under the field `name` that is no error: a warning (warn), a fact (run) or good news (ok)."""
        self.remarks.setdefault(name, []).append(Line(status, fact, do, code))

    def refuse(self, refused: Refused) -> None:
        """Take in a refusal of the use case: every one is shown once, and in one place.

        What is wrong in what was sent stands at its field, or in the summary where it belongs to none. Anything else,
        and whatever is refused to a form that asks for nothing, is for the top of the page: it is kept as `refused`.
        """
        if refused.kind != "wrong" or not self.is_bound:
            self.refused = refused
            return
        name = refused.field if refused.field in self.fields else None
        if name is None or name not in self.errors:
            self.add_error(name, fault(refused.sentence))

    def faults(self) -> list[tuple[str, str, list[Line]]]:
        """Return (id, label, lines) of each field in error, for the summary; the form's own errors have no id."""
        if not self.is_bound:
            return []
        faults = [(self._summary_id(field), str(field.label), feedback(field)) for field in self if field.errors]
        own = [_line(error) for error in self.non_field_errors().as_data()]
        return [("", "", own), *faults] if own else faults

    def _summary_id(self, field: BoundField) -> str:
        several = isinstance(field.field.widget, forms.RadioSelect | forms.CheckboxSelectMultiple)
        return f"{field.auto_id}_0" if several else str(field.auto_id)

    def _prepare(self, name: str, field: forms.Field) -> None:
        widget, identity = field.widget, str(self.auto_id).replace("%s", name)
        field.template_name = "shared/field.html"  # type: ignore[attr-defined]
        if field.error_messages.get("required") == forms.Field.default_error_messages["required"]:
            words = f"{field.label or name.replace('_', ' ').capitalize()} is missing."
            field.error_messages["required"] = getattr(field, "missing", "") or words
        field.error_messages.setdefault("max_length", TOO_LONG)
        field.error_messages.setdefault("null_characters_not_allowed", NO_NULL)
        attrs = widget.attrs
        ticks = isinstance(widget, forms.CheckboxInput | forms.RadioSelect | forms.CheckboxSelectMultiple)
        if not ticks and not isinstance(widget, forms.HiddenInput):
            classes = ["input", attrs.get("class", "")]
            classes += ["num"] if isinstance(widget, forms.NumberInput) else []
            classes += ["wide"] if name in self.wide or isinstance(widget, forms.Textarea) else []
            attrs["class"] = " ".join(part for part in classes if part)
        if isinstance(widget, forms.Textarea):
            attrs.pop("cols", None)
            attrs["rows"] = "3" if attrs.get("rows") in (None, "10") else attrs["rows"]
        if isinstance(widget, forms.NumberInput):
            attrs["inputmode"] = "numeric"
        attrs["aria-describedby"] = f"{identity}_feedback"
        if self.validate_url:
            attrs.update(_live(f"{self.validate_url}{name}/", f"#{identity}_feedback", ticks))


def validated(request: HttpRequest, form: Form, name: str) -> HttpResponse:
    """Answer live validation with the feedback of one field of a bound form."""
    if name not in form.fields:
        raise Http404
    form.is_valid()
    return render(request, "shared/_feedback.html", {"field": form[name]})


def _live(url: str, target: str, ticks: bool) -> dict[str, str]:
    """Return the attributes with which a control fetches its feedback from the server, and changes nothing else."""
    return {
        "hx-post": url,
        "hx-trigger": "change" if ticks else "change, input changed delay:300ms",
        "hx-target": target,
        "hx-swap": "innerHTML",
        "hx-sync": "this:replace",
    }
