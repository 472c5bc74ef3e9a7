"""Whole numbers out of a request, in which anything may have been sent."""

from collections.abc import Iterable

MOST_DIGITS = 19  # of the largest primary key
LARGEST_ID = 2**63 - 1  # PostgreSQL answers a list of ids with a larger one with an error, and not with no row
LARGEST_NUMBER = 999_999_999


def id_of(text: str | None) -> int:
    """Return the primary key that `text` is, or 0, which no row has."""
    if not text or len(text) > MOST_DIGITS or not (text.isascii() and text.isdecimal()):
        return 0
    number = int(text)
    return number if number <= LARGEST_ID else 0


def ids_of(texts: Iterable[str]) -> list[int]:
    """Return the primary keys among `texts`, in their order; what is none is left out."""
    return [number for number in map(id_of, texts) if number]


def number_of(text: str | None, default: int = 1) -> int:
    """Return the count or the number of a page that `text` is, from 1 on, or `default` where it is no such number."""
    number = id_of(text)
    return number if 0 < number <= LARGEST_NUMBER else default
