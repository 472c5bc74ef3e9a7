"""A value that changes over time, as recorded (time, value) pairs: nothing sleeps, and nothing runs in the background."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Timeline(Generic[T]):
    """An immutable series of (seconds since 1970, value) pairs in order of time; the first value also holds before its time."""

    __slots__ = ("pairs",)

    def __init__(self, *pairs: tuple[float, T]) -> None:
        if not pairs:
            raise ValueError("a timeline needs at least one value")
        self.pairs = pairs

    def at(self, now: float) -> T:
        """Return the value that holds at `now`."""
        for since, value in reversed(self.pairs):
            if since <= now:
                return value
        return self.pairs[0][1]

    @property
    def last(self) -> T:
        """The value that holds in the end, if nothing else is recorded."""
        return self.pairs[-1][1]

    def settled(self, now: float) -> bool:
        """Say whether the last recorded value holds already."""
        return self.pairs[-1][0] <= now

    def then(self, now: float, *pairs: tuple[float, T]) -> "Timeline[T]":
        """Return a timeline that keeps what holds at `now`, forgets what was to come, and goes on with `pairs`."""
        return Timeline((min(now, pairs[0][0]), self.at(now)), *pairs)
