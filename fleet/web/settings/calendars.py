"""Settings: calendars of freezes and of openings, with their entries."""

from datetime import datetime
from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.views.decorators.http import require_http_methods, require_POST

from fleet.administration import calendars as acts
from fleet.administration.authority import scope_words
from fleet.guards.calendars import times_of, zone_of
from fleet.guards.spans import next_change, next_opening, state_at
from fleet.lib.clock import DatabaseClock
from fleet.models import Calendar, CalendarEntry
from fleet.web.settings.page import account_field, carry_out, chosen_account, go_to, offer_scope, page, region_field
from fleet.web.shared.forms import Consequences, Form
from fleet.web.shared.htmx import Request

LIST, DETAIL = "settings/calendars.html", "settings/calendar.html"
MOMENT = "%Y-%m-%dT%H:%M"
GET_OR_POST = ["GET", "HEAD", "POST"]
KINDS = (("freezes", "Freezes"), ("openings", "Openings"))


class CalendarForm(Form):
    """A calendar. Its kind is chosen when it is added and does not change."""

    name = forms.CharField(label="Name", max_length=120)
    kind = forms.ChoiceField(
        label="Its entries are",
        choices=KINDS,
        widget=Consequences(
            notes={
                "freezes": "Open by default. Nothing runs while an entry lasts.",
                "openings": "Closed by default. Things run only while an entry lasts.",
            }
        ),
    )
    account = account_field()
    region = region_field()
    environment = forms.CharField(label="Environment", max_length=64, required=False, help_text="Empty: all of them.")
    time_zone = forms.CharField(
        label="Time zone",
        max_length=64,
        initial="UTC",
        help_text="Such as Asia/Shanghai. Hours are those of its clocks.",
    )
    required = forms.BooleanField(
        label="Openings hold for every machine in this scope, also where a change does not name the calendar",
        required=False,
    )
    active = forms.BooleanField(label="In force", required=False, initial=True)

    def __init__(self, *args: Any, calendar: Calendar | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_scope(self)
        if calendar is not None:
            del self.fields["kind"]
            if calendar.open_by_default:
                del self.fields["required"]
        else:
            del self.fields["active"]

    def as_input(self) -> acts.CalendarInput:
        typed = self.cleaned_data
        return acts.CalendarInput(
            name=typed["name"],
            open_by_default=typed.get("kind") == "freezes",
            required=typed.get("required", False),
            account_id=chosen_account(self),
            region=typed["region"],
            environment=typed["environment"],
            time_zone=typed["time_zone"],
            active=typed.get("active", True),
        )


class EntryForm(Form):
    """An entry of a calendar, in local time of the calendar's time zone."""

    title = forms.CharField(label="What for", max_length=200)
    starts_at = forms.DateTimeField(label="From")
    ends_at = forms.DateTimeField(label="Until")
    repeats = forms.ChoiceField(label="Repeats", choices=CalendarEntry.Repeats.choices, required=False)
    until = forms.DateTimeField(label="The last time before", required=False, help_text="Empty: for ever.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("starts_at", "ends_at", "until"):
            field = self.fields[name]
            field.widget = forms.DateTimeInput(format=MOMENT, attrs={"type": "datetime-local", **field.widget.attrs})
            field.error_messages["invalid"] = "This is no date with a time. Enter one such as 2026-11-30 22:00."

    def as_input(self) -> acts.EntryInput:
        typed = self.cleaned_data
        # Django has read them as UTC; they are local times, and the use case gives them the calendar's time zone.
        walls = {name: typed[name] and typed[name].replace(tzinfo=None) for name in ("starts_at", "ends_at", "until")}
        return acts.EntryInput(title=typed["title"], repeats=typed["repeats"], **walls)


@require_http_methods(GET_OR_POST)
def calendars(request: Request) -> HttpResponse:
    """List the calendars with their state now and what comes next; add one."""
    form, answer = CalendarForm(request.POST or None, auto_id="new_%s"), None
    if request.method == "POST" and form.is_valid():
        answer = carry_out(
            request,
            "add a calendar",
            lambda: acts.save_calendar(actor=request.user, calendar_id=None, given=form.as_input()),
            "The calendar is added. Now give it entries.",
            form=form,
            then=go_to(request, "settings-calendars"),
        )
    if answer:
        return answer
    now = DatabaseClock().now()
    rows = Calendar.objects.select_related("account").prefetch_related("entries").order_by("-open_by_default", "name")
    context = {"form": form, "calendars": [_summary(row, now) for row in rows], "now": now}
    return page(request, LIST, context, form)


@require_http_methods(GET_OR_POST)
def calendar(request: Request, pk: int) -> HttpResponse:
    """Show one calendar with the forms that change it and add to it; change it."""
    calendar = _calendar_or_404(pk)
    form, answer = CalendarForm(request.POST or None, calendar=calendar, initial=_initial(calendar)), None
    if request.method == "POST" and form.is_valid():
        answer = carry_out(
            request,
            "change a calendar",
            lambda: acts.save_calendar(actor=request.user, calendar_id=pk, given=form.as_input()),
            "The calendar is changed.",
            form=form,
            then=go_to(request, "settings-calendar", pk),
        )
    return answer or _detail(request, calendar, form=form)


@require_POST
def remove(request: Request, pk: int) -> HttpResponse:
    """Remove a calendar."""
    calendar = _calendar_or_404(pk)
    form = CalendarForm(calendar=calendar, initial=_initial(calendar))
    answer = carry_out(
        request,
        "remove a calendar",
        lambda: acts.remove_calendar(actor=request.user, calendar_id=pk),
        f"{calendar} is removed.",
        form=form,
        then=go_to(request, "settings-calendars"),
    )
    return answer or _detail(request, calendar, form=form)


@require_http_methods(GET_OR_POST)
def entry(request: Request, pk: int, entry: int | None = None) -> HttpResponse:
    """Add an entry to a calendar, or show one to change it, and change it."""
    calendar, answer = _calendar_or_404(pk), None
    row = None if entry is None else next((row for row in calendar.entries.all() if row.pk == entry), None)
    if entry is not None and row is None:
        raise Http404
    form = EntryForm(request.POST or None, initial=_entry_initial(calendar, row), auto_id="entry_%s")
    if request.method == "POST" and form.is_valid():
        answer = carry_out(
            request,
            "change a calendar",
            lambda: acts.save_entry(actor=request.user, calendar_id=pk, entry_id=entry, given=form.as_input()),
            "The calendar has the entry now.",
            form=form,
            then=go_to(request, "settings-calendar", pk),
        )
    return answer or _detail(request, calendar, entry_form=form, editing=row)


@require_POST
def remove_entry(request: Request, pk: int, entry: int) -> HttpResponse:
    """Take an entry out of a calendar."""
    calendar = _calendar_or_404(pk)
    form = EntryForm(initial=_entry_initial(calendar, None), auto_id="entry_%s")
    answer = carry_out(
        request,
        "change a calendar",
        lambda: acts.remove_entry(actor=request.user, calendar_id=pk, entry_id=entry),
        "The entry is removed.",
        form=form,
        then=go_to(request, "settings-calendar", pk),
    )
    return answer or _detail(request, calendar, entry_form=form)


def _detail(
    request: Request,
    calendar: Calendar,
    *,
    form: CalendarForm | None = None,
    entry_form: EntryForm | None = None,
    editing: CalendarEntry | None = None,
) -> HttpResponse:
    now = DatabaseClock().now()
    form = form or CalendarForm(calendar=calendar, initial=_initial(calendar))
    entry_form = entry_form or EntryForm(initial=_entry_initial(calendar, None), auto_id="entry_%s")
    context = {
        "one": _summary(calendar, now),
        "form": form,
        "entry_form": entry_form,
        "editing": editing,
        "now": now,
    }
    return page(request, DETAIL, context, form, entry_form)


def _calendar_or_404(pk: int) -> Calendar:
    found = Calendar.objects.select_related("account").prefetch_related("entries").filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def _initial(calendar: Calendar) -> dict[str, Any]:
    names = ("name", "region", "environment", "time_zone", "required", "active")
    return {name: getattr(calendar, name) for name in names} | {"account": str(calendar.account_id or "")}


def _entry_initial(calendar: Calendar, row: CalendarEntry | None) -> dict[str, Any]:
    if row is None:
        return {}
    walls = {name: _wall(calendar, getattr(row, name)) for name in ("starts_at", "ends_at", "until")}
    return {"title": row.title, "repeats": row.repeats} | walls


def _wall(calendar: Calendar, when: datetime | None) -> datetime | None:
    """Return a moment in local time of the calendar's time zone, without the zone."""
    try:
        return when.astimezone(zone_of(calendar.time_zone)).replace(tzinfo=None) if when else None
    except ValueError:
        return when


def _summary(calendar: Calendar, now: datetime) -> dict[str, Any]:
    """Return a calendar as the pages show it: its entries, whether it is open now, and when that changes next."""
    summary: dict[str, Any] = {
        "calendar": calendar,
        "where": scope_words(calendar.account, calendar.region, calendar.environment),
        "entries": [
            (row, _wall(calendar, row.starts_at), _wall(calendar, row.ends_at), _wall(calendar, row.until))
            for row in sorted(calendar.entries.all(), key=lambda row: row.starts_at)
        ],
    }
    try:
        times = times_of(calendar)
    except ValueError as error:
        return summary | {"fault": str(error)}
    is_open = state_at(times, now)
    return summary | {"open": is_open, "next": next_change(times, now) if is_open else next_opening(times, now)}
