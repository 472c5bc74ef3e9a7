"""Numbers and times in words, the same on every page."""

from collections.abc import Sequence
from datetime import datetime


def count(number: int, thing: str, things: str = "") -> str:
    """Return a number with its noun: `1 machine`, `1,234 machines`. `things` is a plural that does not end in s."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def listed(items: Sequence[str], most: int = 3) -> str:
    """Return a list in words: `a`, `a and b`, `a, b and 4 more`."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most:,} more"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def age(seconds: float) -> str:
    """Return an age in words, from whole seconds: `38 s`, `14 min`, `3 h`, `5 days`."""
    seconds = max(0, int(seconds))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    if seconds < 172_800:
        return f"{seconds // 3600} h"
    return f"{seconds // 86_400:,} days"


def moment(when: datetime, now: datetime) -> str:
    """Return the clock time for today, weekday and clock time for this week, else the date. Both are in one time zone."""
    if when.date() == now.date():
        return f"{when:%H:%M}"
    if abs((when - now).days) < 6:
        return f"{when:%a} {when:%H:%M}"
    return f"{when.day} {when:%b %Y}"


def moment_utc(when: datetime, now: datetime) -> str:
    """Return a moment for use in a sentence: `22:00 UTC`, `Tue 22:00 UTC`, `3 Dec 2026, 22:00 UTC`."""
    short = moment(when, now)
    return f"{short} UTC" if ":" in short else f"{short}, {when:%H:%M} UTC"


def short_digest(digest: str) -> str:
    """Return the first and the last four digits of a digest: enough to compare two by eye."""
    return f"{digest[:4]}…{digest[-4:]}" if digest else ""
