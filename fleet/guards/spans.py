"""Spans of time that repeat in a time zone: the pure arithmetic of calendars.

A span that repeats keeps its local hours, also where the clocks change: "22:00 to 02:00 every day" is three hours long in the
night that loses one. A span that begins in an hour that is skipped begins when the clocks go on. Of an hour that comes twice, a
span begins with the first; it ends with the first where it opens something, and with the second where it closes something.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

PERIODS = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}
# How far ahead we search for a moment at which something opens or closes.
HORIZON = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of time, in UTC: `start` is in it, `end` is not."""

    start: datetime
    end: datetime
    title: str = ""


@dataclass(frozen=True, slots=True)
class Repeated:
    """A span as it is entered: once, or repeated in the calendar's time zone until `until`."""

    start: datetime
    end: datetime
    repeats: str = ""
    until: datetime | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """When something is open. Where it is open by default the spans close it; else only the spans open it."""

    open_by_default: bool
    zone: ZoneInfo
    spans: tuple[Repeated, ...] = ()


def occurrences(times: Times, span: Repeated, after: datetime, before: datetime) -> Iterator[Span]:
    """Yield, in order, the occurrences of a span that overlap the time from `after` to `before`."""
    period = PERIODS.get(span.repeats)
    if period is None:
        if span.start < before and span.end > after:
            yield Span(span.start.astimezone(UTC), span.end.astimezone(UTC), span.title)
        return
    start, end = (moment.astimezone(times.zone).replace(tzinfo=None) for moment in (span.start, span.end))
    # One period earlier: local time and UTC are up to a day apart.
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
    """Return the moment of a local time, the `last` of the two where the clocks go back."""
    return wall.replace(tzinfo=zone, fold=int(last)).astimezone(UTC)


def joined(times: Times, after: datetime, before: datetime) -> list[Span]:
    """Return the stretches between two moments that any span covers, in order and without overlap.

    A stretch of several spans has the title of the first.
    """
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
    """Return the first moment after `at` at which it opens or closes, or None where there is none in 400 days."""
    edges = {edge for span in joined(times, at, at + HORIZON) for edge in (span.start, span.end)}
    later = sorted(edge for edge in edges if at < edge < at + HORIZON)
    return later[0] if later else None


def next_opening(times: Times, at: datetime) -> datetime | None:
    """Return the moment at which it opens: `at` itself where it is open then, None where it never opens again."""
    return at if state_at(times, at) else next_change(times, at)


def last_closing(times: Times, at: datetime) -> datetime | None:
    """Return when it closes for good, or None where it is open again and again, or for ever."""
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
