"""The one source of time: the clock of the database, with an offset for tests."""

from datetime import datetime, timedelta
from typing import Protocol

from django.db import connection


class Clock(Protocol):
    """What code that needs the time takes, so that a test can set it."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""


class DatabaseClock:
    """The clock of the database: all workers and web processes share it, whatever the clocks of their machines say."""

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        self.offset = offset

    def now(self) -> datetime:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            moment: datetime = cursor.fetchone()[0]
        return moment + self.offset


class ManualClock:
    """A clock that stands still until it is moved, for tests."""

    def __init__(self, start: datetime) -> None:
        self.moment = start

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.moment += timedelta(seconds=seconds)
