"""Spans that repeat: examples, and the same answers as a slow and obvious reading of the clock on the wall."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.guards.spans import (
    Repeated,
    Times,
    joined,
    last_closing,
    next_change,
    next_opening,
    occurrences,
    state_at,
)

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "America/Sao_Paulo")
MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def nightly(zone: str, first: str, start: time, end: time, *, open_by_default: bool = False) -> Times:
    """Return a span of every night on the wall of `zone`, from a first day on."""
    day = date.fromisoformat(first)
    until = day + timedelta(days=1) if end <= start else day
    place = ZoneInfo(zone)
    span = Repeated(
        datetime.combine(day, start, place).astimezone(UTC),
        datetime.combine(until, end, place).astimezone(UTC),
        "daily",
    )
    return Times(open_by_default, place, (span,))


def test_a_window_opens_and_closes_on_the_wall_on_both_sides_of_a_change_of_clocks() -> None:
    # Berlin: UTC+1 until 29 March 2026, 02:00, then UTC+2.
    night = nightly("Europe/Berlin", "2026-03-01", time(22), time(2))
    assert not state_at(night, at("2026-03-27T20:59"))
    assert state_at(night, at("2026-03-27T21:00"))
    assert state_at(night, at("2026-03-28T00:59"))
    assert not state_at(night, at("2026-03-28T01:00"))
    # The night of the change loses no hour before 02:00; the next one opens an hour earlier in UTC.
    assert next_opening(night, at("2026-03-29T12:00")) == at("2026-03-29T20:00")
    assert next_change(night, at("2026-03-29T20:00")) == at("2026-03-30T00:00")


def test_an_hour_that_a_night_skips_begins_where_the_clocks_go_on() -> None:
    early = nightly("Europe/Berlin", "2026-03-01", time(2, 30), time(4))
    spans = joined(early, at("2026-03-29T00:00"), at("2026-03-30T00:00"))
    assert [(span.start, span.end) for span in spans] == [(at("2026-03-29T01:30"), at("2026-03-29T02:00"))]


def test_of_an_hour_that_comes_twice_a_freeze_holds_both_and_a_window_the_first() -> None:
    # Berlin, 25 October 2026: 02:00 to 03:00 comes twice, at 00:00 and at 01:00 UTC.
    window = nightly("Europe/Berlin", "2026-10-01", time(2), time(2, 30))
    freeze = nightly("Europe/Berlin", "2026-10-01", time(2), time(2, 30), open_by_default=True)
    assert [state_at(window, at(f"2026-10-25T{hour}:15")) for hour in ("00", "01")] == [True, False]
    assert [state_at(freeze, at(f"2026-10-25T{hour}:15")) for hour in ("00", "01")] == [False, False]


def test_freezes_and_windows_that_never_end() -> None:
    once = Times(False, ZoneInfo("UTC"), (Repeated(at("2026-06-01T10:00"), at("2026-06-01T12:00")),))
    assert next_opening(once, at("2026-06-01T13:00")) is None
    assert last_closing(once, at("2026-06-01T13:00")) == at("2026-06-01T12:00")
    assert last_closing(once, at("2026-05-01T13:00")) == at("2026-06-01T12:00")
    never = Times(False, ZoneInfo("UTC"))
    assert next_opening(never, at("2026-06-01T13:00")) is None
    assert last_closing(never, at("2026-06-01T13:00")) == at("2026-06-01T13:00")
    always = Times(True, ZoneInfo("UTC"))
    assert next_opening(always, at("2026-06-01T13:00")) == at("2026-06-01T13:00")
    assert next_change(always, at("2026-06-01T13:00")) is None
    assert last_closing(always, at("2026-06-01T13:00")) is None
    weekly = Repeated(at("2026-06-01T10:00"), at("2026-06-01T12:00"), "weekly", at("2026-06-20T00:00"))
    assert last_closing(Times(False, ZoneInfo("UTC"), (weekly,)), at("2026-06-02T00:00")) == at("2026-06-15T12:00")
    assert next_opening(Times(False, ZoneInfo("UTC"), (weekly,)), at("2026-06-15T12:00")) is None


def test_windows_that_touch_are_one() -> None:
    spans = (
        Repeated(at("2026-06-01T10:00"), at("2026-06-01T12:00")),
        Repeated(at("2026-06-01T12:00"), at("2026-06-01T13:00")),
    )
    assert next_change(Times(False, ZoneInfo("UTC"), spans), at("2026-06-01T11:00")) == at("2026-06-01T13:00")


moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(
    lambda moment: moment.replace(second=0, microsecond=0, tzinfo=UTC)
)
lengths = st.integers(1, 3 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes))


@st.composite
def some_times(draw: st.DrawFn) -> Times:
    spans = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(moments)
        days = draw(st.none() | st.integers(0, 90))
        until = None if days is None else start + timedelta(days=days)
        repeats = draw(st.sampled_from(["", "daily", "weekly"]))
        spans.append(Repeated(start, start + draw(lengths), repeats, until if repeats else None))
    return Times(draw(st.booleans()), ZoneInfo(draw(st.sampled_from(ZONES))), tuple(spans))


def slowly_covered(times: Times, moment: datetime) -> bool:
    """Say whether a span covers a moment, by trying every repetition since its first with the clock on the wall."""
    for span in times.spans:
        period = {"": 0, "daily": 1, "weekly": 7}[span.repeats]
        start, end = (each.astimezone(times.zone) for each in (span.start, span.end))
        for number in range(420 // period if period else 1):
            days = timedelta(days=period * number)
            opens = (start.replace(tzinfo=None) + days).replace(tzinfo=times.zone, fold=0).astimezone(UTC)
            fold = int(times.open_by_default)
            closes = (end.replace(tzinfo=None) + days).replace(tzinfo=times.zone, fold=fold).astimezone(UTC)
            if not period:
                opens, closes = span.start, span.end
            if span.until is not None and opens >= span.until:
                break
            if opens <= moment < closes:
                return True
    return False


@settings(max_examples=150, deadline=None)
@given(some_times(), moments)
def test_open_or_not_as_the_clock_on_the_wall_says(times: Times, moment: datetime) -> None:
    assert state_at(times, moment) == (slowly_covered(times, moment) != times.open_by_default)


@settings(max_examples=100, deadline=None)
@given(some_times(), moments)
def test_nothing_opens_or_closes_before_the_next_change(times: Times, moment: datetime) -> None:
    state, then = state_at(times, moment), next_change(times, moment)
    if then is None:
        assert state_at(times, moment + timedelta(days=300)) == state
        return
    assert moment < then
    assert state_at(times, then - timedelta(microseconds=1)) == state
    assert state_at(times, then) != state
    assert state_at(times, moment + (then - moment) / 2) == state
    opening = next_opening(times, moment)
    assert opening is None or state_at(times, opening)


@settings(max_examples=100, deadline=None)
@given(some_times(), moments, st.integers(1, 60))
def test_a_span_keeps_its_hours_on_the_wall(times: Times, moment: datetime, days: int) -> None:
    for span in times.spans:
        if not span.repeats:
            continue
        wanted = span.start.astimezone(times.zone).time()
        for each in occurrences(times, span, moment, moment + timedelta(days=days)):
            shown = each.start.astimezone(times.zone)
            skipped = shown.replace(tzinfo=None) != shown.astimezone(UTC).astimezone(times.zone).replace(tzinfo=None)
            if shown.time() != wanted and not skipped:
                # Only where that night has no such hour: then the clocks went on within the hour before.
                assert (shown - timedelta(hours=2)).utcoffset() != shown.utcoffset()
