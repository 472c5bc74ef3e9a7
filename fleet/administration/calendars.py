"""What administrators do to calendars and their entries, freezes and openings: each change of them is on the trail."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from fleet.administration.authority import account_of, require_administrator, scope_words
from fleet.audit.trail import differences, record
from fleet.guards.calendars import zone_of
from fleet.guards.spans import PERIODS
from fleet.lib.refused import Refused
from fleet.models import Calendar, CalendarEntry, User

WHAT = "Changing freezes and windows"


@dataclass(frozen=True, slots=True)
class CalendarInput:
    """A calendar as an administrator typed it; `account_id` None, an empty region and an empty environment mean all."""

    name: str
    open_by_default: bool
    required: bool
    account_id: int | None
    region: str
    environment: str
    time_zone: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class EntryInput:
    """A span as an administrator typed it; times without a zone are local times of the calendar's zone."""

    title: str
    starts_at: datetime
    ends_at: datetime
    repeats: str
    until: datetime | None


@transaction.atomic
def save_calendar(*, actor: User, calendar_id: int | None, given: CalendarInput) -> Calendar:
    """Add a calendar (None), or change one. Whether it is open by default stays: its entries would turn into their opposite."""
    existing = _calendar(calendar_id) if calendar_id is not None else None
    require_administrator(actor, WHAT, given.account_id, *([existing.account_id] if existing else []))
    calendar = existing or Calendar(open_by_default=given.open_by_default)
    before = _as_recorded(calendar) if existing else {}
    if not given.name.strip():
        raise Refused("The calendar has no name. Enter one.", field="name")
    try:
        zone_of(given.time_zone)
    except ValueError as error:
        raise Refused(str(error), field="time_zone") from None
    calendar.name = given.name.strip()
    calendar.account = account_of(given.account_id)
    calendar.region, calendar.environment = given.region, given.environment.strip()
    calendar.required = given.required and not calendar.open_by_default
    calendar.time_zone, calendar.active = given.time_zone, given.active
    try:
        with transaction.atomic():
            calendar.save()
    except IntegrityError:
        raise Refused(f"There is a calendar {calendar.name} already. Choose another name.", field="name") from None
    record(
        action="calendar.changed" if existing else "calendar.added",
        actor=actor,
        subject=str(calendar),
        account=calendar.account,
        data=differences(before, _as_recorded(calendar)),
    )
    return calendar


@transaction.atomic
def remove_calendar(*, actor: User, calendar_id: int) -> None:
    """Remove a calendar that no change names."""
    calendar = _calendar(calendar_id)
    require_administrator(actor, WHAT, calendar.account_id)
    removed = _as_recorded(calendar) | {"entries": calendar.entries.count()}
    try:
        calendar.delete()
    except ProtectedError:
        raise Refused(
            f"Changes name {calendar.name}, and their history would lose it. Switch it off instead.", kind="moved"
        ) from None
    record(action="calendar.removed", actor=actor, subject=calendar.name, account=calendar.account, data=removed)


@transaction.atomic
def save_entry(*, actor: User, calendar_id: int, entry_id: int | None, given: EntryInput) -> CalendarEntry:
    """Add a span to a calendar (None), or change one."""
    calendar = _calendar(calendar_id)
    require_administrator(actor, WHAT, calendar.account_id)
    entry = _entry(calendar, entry_id) if entry_id is not None else CalendarEntry(calendar=calendar)
    before = _span(entry) if entry_id is not None else {}
    _must_make_sense(given)
    zone = zone_of(calendar.time_zone)

    def placed(moment: datetime) -> datetime:
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)

    entry.title, entry.repeats = given.title.strip(), given.repeats
    entry.starts_at, entry.ends_at = placed(given.starts_at), placed(given.ends_at)
    entry.until = placed(given.until) if given.until and given.repeats else None
    entry.save()
    record(
        action="calendar.entry_changed" if entry_id is not None else "calendar.entry_added",
        actor=actor,
        subject=f"{entry.title} of {calendar}",
        account=calendar.account,
        data=differences(before, _span(entry)),
    )
    return entry


@transaction.atomic
def remove_entry(*, actor: User, calendar_id: int, entry_id: int) -> None:
    """Take a span out of a calendar."""
    calendar = _calendar(calendar_id)
    require_administrator(actor, WHAT, calendar.account_id)
    entry = _entry(calendar, entry_id)
    removed, subject = _span(entry), f"{entry.title} of {calendar}"
    entry.delete()
    record(action="calendar.entry_removed", actor=actor, subject=subject, account=calendar.account, data=removed)


def _must_make_sense(given: EntryInput) -> None:
    if not given.title.strip():
        raise Refused(
            "It has no title. Say in a few words what it is for: people read it where it closes.", field="title"
        )
    if given.ends_at <= given.starts_at:
        raise Refused("It ends before it starts. Enter an end after the start.", field="ends_at")
    period = PERIODS.get(given.repeats, timedelta.max)
    if given.repeats and given.repeats not in PERIODS:
        raise Refused("It repeats in no known way. Choose one from the list.", field="repeats")
    if given.ends_at - given.starts_at > period:
        raise Refused(
            "It is longer than the time after which it repeats. Shorten it, or repeat it less often.", field="ends_at"
        )
    if given.repeats and given.until and given.until <= given.starts_at:
        raise Refused("It would end before its first time. Enter a later last day, or none.", field="until")


def _calendar(pk: int) -> Calendar:
    # Locked, so that two administrators do not overwrite one another unseen.
    found = Calendar.objects.select_for_update(of=("self",)).select_related("account").filter(pk=pk).first()
    if found is None:
        raise Refused("There is no such calendar any more. Look at the list.", kind="moved")
    return found


def _entry(calendar: Calendar, pk: int) -> CalendarEntry:
    found = calendar.entries.filter(pk=pk).first()
    if found is None:
        raise Refused("There is no such entry any more. Look at the calendar.", kind="moved")
    return found


def _as_recorded(calendar: Calendar) -> dict[str, Any]:
    return {
        "name": calendar.name,
        "kind": "freezes" if calendar.open_by_default else "openings",
        "where": scope_words(calendar.account, calendar.region, calendar.environment),
        "required": calendar.required,
        "time_zone": calendar.time_zone,
        "active": calendar.active,
    }


def _span(entry: CalendarEntry) -> dict[str, Any]:
    return {
        "title": entry.title,
        "starts_at": entry.starts_at.isoformat(),
        "ends_at": entry.ends_at.isoformat(),
        "repeats": entry.repeats or "once",
        "until": entry.until.isoformat() if entry.until else None,
    }
