"""Spans of time that repeat in a time zone: pure arithmetic under the calendars.

A span that repeats keeps its hours on the wall, also where the clocks change: "22:00 to 02:00 every day" is three hours long in
the night that loses one. An hour that a night skips begins where the clocks go on; of an hour that a night has twice, a span
begins with the first, and ends with the first where it opens something and with the second where it closes something.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

PERIODS = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}
# How far is looked for a moment at which something opens or closes.
HORIZON = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of time, in UTC: `start` is in it, `end` is not."""

    start: datetime
    end: datetime
    title: str = ""


@dataclass(frozen=True, slots=True)
class Repeated:
    """A span as it is written down: once, or again and again in the calendar's time zone, the last time before `until`."""

    start: datetime
    end: datetime
    repeats: str = ""
    until: datetime | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """When something is open. Open by default: the spans close it. Else: only the spans open it."""

    open_by_default: bool
    zone: ZoneInfo
    spans: tuple[Repeated, ...] = ()


def occurrences(times: Times, span: Repeated, after: datetime, before: datetime) -> Iterator[Span]:
    """Yield, in order, what of a span overlaps the time from `after` to `before`."""
    period = PERIODS.get(span.repeats)
    if period is None:
        if span.start < before and span.end > after:
            yield Span(span.start.astimezone(UTC), span.end.astimezone(UTC), span.title)
        return
    start, end = (moment.astimezone(times.zone).replace(tzinfo=None) for moment in (span.start, span.end))
    # A day more at both sides, since hours on the wall and hours in UTC stand up to a day apart.
    first = (after.astimezone(times.zone).replace(tzinfo=None) - end) // period - 1
    number = max(0, first)
    while True:
        moved = period * number
        number += 1
        opens = _moment(start + moved, times.zone, last=False)
        if opens >= before or (span.until is not None and opens >= span.until):
            return
        closes = _moment(end + moved, times.zone, last=times.open_by_default)
        if closes > after and closes > opens:
            yield Span(opens, closes, span.title)


def _moment(wall: datetime, zone: ZoneInfo, *, last: bool) -> datetime:
    """Return the moment of an hour on the wall, the `last` of two where the clocks go back."""
    return wall.replace(tzinfo=zone, fold=int(last)).astimezone(UTC)


def joined(times: Times, after: datetime, before: datetime) -> list[Span]:
    """Return the stretches covered by any span between two moments, in order, without overlap; a title is the first one's."""
    found = sorted(
        (each for span in times.spans for each in occurrences(times, span, after, before)),
        key=lambda span: (span.start, span.end),
    )
    covered: list[Span] = []
    for span in found:
        if covered and span.start <= covered[-1].end:
            covered[-1] = Span(covered[-1].start, max(covered[-1].end, span.end), covered[-1].title)
        else:
            covered.append(span)
    return covered


def state_at(times: Times, at: datetime) -> bool:
    """Say whether it is open at this moment."""
    covered = any(True for span in times.spans for _ in occurrences(times, span, at, at + timedelta(microseconds=1)))
    return covered != times.open_by_default


def next_change(times: Times, at: datetime) -> datetime | None:
    """Return the first moment after `at` at which it opens or closes, None where that is never (or not in 400 days)."""
    edges = {edge for span in joined(times, at, at + HORIZON) for edge in (span.start, span.end)}
    later = sorted(edge for edge in edges if at < edge < at + HORIZON)
    return later[0] if later else None


def next_opening(times: Times, at: datetime) -> datetime | None:
    """Return the moment from which it is open: `at` itself where it is; None where it never opens again."""
    return at if state_at(times, at) else next_change(times, at)


def next_closing(times: Times, at: datetime) -> datetime | None:
    """Return the moment at which it closes, after its next opening; None where it never closes (or never opens)."""
    opening = next_opening(times, at)
    return next_change(times, opening) if opening else None


def last_closing(times: Times, at: datetime) -> datetime | None:
    """Return when it closes for good, None where it is open again and again, or for ever."""
    if times.open_by_default or any(
        span.repeats and (span.until is None or span.until > at + HORIZON) for span in times.spans
    ):
        return None
    ends = [
        each.end
        for span in times.spans
        for each in occurrences(times, span, at - HORIZON, max(at, span.until or span.end) + HORIZON)
    ]
    return max(ends, default=at)
