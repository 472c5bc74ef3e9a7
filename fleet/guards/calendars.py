"""When a change and its machines may be touched: its own dates, freezes and opening hours. What cannot be read is closed.

All calendars that apply must be open at once. A machine whose calendar is closed closes the change as a whole: nothing begins,
so that no machine is stopped for a call that its calendar would not allow. Before the irreversible call each machine's calendars
are asked again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Q

from fleet.guards.spans import HORIZON, Repeated, Times, joined, last_closing, next_change, next_opening, state_at
from fleet.lib.text import moment_utc
from fleet.models import Calendar

Scope = tuple[int, str, str]  # account id, region, environment
MOST_STEPS = 2_000  # of the search for a moment at which all calendars are open


@dataclass(frozen=True, slots=True)
class Guard:
    """A calendar that applies. `times` None: it cannot be read, or it is switched off though the change names it."""

    calendar: Calendar
    times: Times | None
    fault: str = ""

    def open_at(self, at: datetime) -> bool:
        return self.times is not None and state_at(self.times, at)


@dataclass(frozen=True, slots=True)
class Closed:
    """A calendar that is closed, with the sentence for people. `until` None: it is not known, or for ever."""

    name: str
    freeze: bool
    title: str
    until: datetime | None
    words: str


@dataclass(frozen=True, slots=True)
class Hours:
    """When machines may be touched. `opens_at` is the present moment where that is now, None where it is never again.

    `closes_at` is when the present stretch of open hours ends, else the next one; None where it does not end. `ends_at` is the
    moment after which it is never open again; None where there is none. `closed` are the calendars that are closed now.
    """

    opens_at: datetime | None
    closes_at: datetime | None
    ends_at: datetime | None
    closed: tuple[Closed, ...]

    @property
    def open(self) -> bool:
        return self.opens_at is not None and not self.closed


def times_of(calendar: Calendar) -> Times:
    """Return the hours of a calendar; its entries are best prefetched. Raises ValueError for an unknown time zone."""
    entries = calendar.entries.all()
    spans = tuple(Repeated(e.starts_at, e.ends_at, e.repeats, e.until, e.title) for e in entries)
    return Times(calendar.open_by_default, zone_of(calendar.time_zone), spans)


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name. Raises ValueError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name} is no time zone; write it like Asia/Shanghai.") from None


def guards_of(scopes: Iterable[Scope], named: int | None) -> list[Guard]:
    """Return the calendars that apply to machines in these scopes: freezes, required ones, and the one that is `named`.

    Two queries, whatever the number of calendars and machines.
    """
    scopes = list(scopes)
    wanted = Q(active=True) & (Q(open_by_default=True) | Q(required=True)) | Q(pk=named)
    found = Calendar.objects.filter(wanted).prefetch_related("entries").order_by("name")
    return [_guard(each) for each in found if each.pk == named or any(_covers(each, scope) for scope in scopes)]


def hours(guards: list[Guard], *, not_before: datetime | None, not_after: datetime | None, now: datetime) -> Hours:
    """Return the hours in which all of these calendars are open at once, between the change's own dates."""
    closed = [_closed(guard, now) for guard in guards if not guard.open_at(now)]
    if not_before and now < not_before:
        words = f"It may not start before {moment_utc(not_before, now)}."
        closed.append(Closed("the change", False, "its own dates", not_before, words))
    if not_after and now >= not_after:
        closed.append(
            Closed("the change", False, "its own dates", None, f"It had to end by {moment_utc(not_after, now)}.")
        )
    opens = _first_open(guards, max(now, not_before or now), not_after)
    ends = [each for each in [not_after, *(last_closing(g.times, now) for g in guards if g.times)] if each]
    closes = [change for g in guards if g.times and opens and (change := next_change(g.times, opens))]
    closes += [not_after] if not_after and opens else []
    return Hours(opens, min(closes, default=None), min(ends, default=None), tuple(closed))


def closed_for(
    scope: Scope, now: datetime, *, named: int | None, not_before: datetime | None, not_after: datetime | None
) -> str:
    """Return the sentence that says why a machine in this scope may not be touched now, or nothing (two queries)."""
    found = hours(guards_of([scope], named), not_before=not_before, not_after=not_after, now=now)
    return found.closed[0].words if found.closed else ""


def _guard(calendar: Calendar) -> Guard:
    if not calendar.active:
        return Guard(
            calendar, None, "it is switched off. An administrator switches it on, or the change names another."
        )
    try:
        return Guard(calendar, times_of(calendar))
    except ValueError as error:
        return Guard(calendar, None, str(error))


def _covers(calendar: Calendar, scope: Scope) -> bool:
    account, region, environment = scope
    return (
        calendar.account_id in (None, account)
        and calendar.region in ("", region)
        and calendar.environment in ("", environment)
    )


def _closed(guard: Guard, now: datetime) -> Closed:
    name, freeze = guard.calendar.name, guard.calendar.open_by_default
    if guard.times is None:
        return Closed(name, freeze, "", None, f"The calendar {name} cannot be asked: {guard.fault}")
    until = next_opening(guard.times, now)
    if not freeze:
        again = f"it opens {moment_utc(until, now)}" if until else "it does not open again"
        return Closed(name, False, "", until, f"Outside the hours of {name}: {again}.")
    title = next((span.title for span in joined(guard.times, now, now + timedelta(microseconds=1))), "")
    reason = f" ({title})" if title else ""
    end = f"until {moment_utc(until, now)}" if until else "and does not end"
    return Closed(name, True, title, until, f"Frozen by {name}{reason} {end}.")


def _first_open(guards: list[Guard], start: datetime, not_after: datetime | None) -> datetime | None:
    """Return the first moment from `start` on at which all are open at once, None where there is none."""
    if any(guard.times is None for guard in guards):
        return None
    at, end = start, min(not_after, start + HORIZON) if not_after else start + HORIZON
    for _ in range(MOST_STEPS):
        if at >= end:
            return None
        shut = next((g.times for g in guards if g.times and not state_at(g.times, at)), None)
        if shut is None:
            return at
        later = next_opening(shut, at)
        if later is None:
            return None
        at = later
    return None
