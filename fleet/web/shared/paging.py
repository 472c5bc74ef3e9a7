"""Pages of a list: by key for long lists, so that page 4,000 is as fast as page 1; by number for short ones."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model, Q, QuerySet

SIZES = (25, 50, 100)


def size_of(asked: str | None) -> int:
    """Return the page size that was asked for, or the smallest."""
    return next((size for size in SIZES if str(size) == asked), SIZES[0])


@dataclass(frozen=True)
class Page:
    """A page of `rows`; `first` is the number of its first row, counted from 1; `total` None where nobody counted."""

    rows: list[Any]
    first: int
    size: int
    has_next: bool
    has_previous: bool
    total: int | None = None

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def number(self) -> int:
        return (self.first - 1) // self.size + 1

    @property
    def next_number(self) -> int:
        return self.number + 1

    @property
    def previous_number(self) -> int:
        return self.number - 1


def numbered(rows: QuerySet[Any], *, page: int, size: int, total: int | None = None) -> Page:
    """Return page `page` in one query, by reading one row more than it has. For lists of at most some thousand rows."""
    start = (page - 1) * size
    read = list(rows[start : start + size + 1])
    return Page(read[:size], start + 1, size, len(read) > size, page > 1, total)


def keyed(
    rows: QuerySet[Any], *, by: str, size: int, total: int, step: str = "", anchor: Model | None = None, first: int = 1
) -> Page:
    """Return a page in the order of `by` (`-` in front: descending) and the primary key, in one query.

    `step` is `next` or `previous` of the row `anchor`, `last`, or empty for the first page. `first` is the number of the
    first row on the page that the person comes from; it is corrected where the list has changed meanwhile.
    """
    down = by.startswith("-")
    field = by.lstrip("-")
    backwards = step in ("previous", "last")
    take = size
    if step == "last":
        take = total % size or size
        first = max(total - take, 0) + 1
    elif anchor is not None and step == "next":
        rows, first = rows.filter(_beyond(anchor, field, down)), first + size
    elif anchor is not None and step == "previous":
        rows, first = rows.filter(_beyond(anchor, field, not down)), max(first - size, 1)
    else:
        first = 1
    reverse = down != backwards
    read = list(rows.order_by(("-" if reverse else "") + field, "-pk" if reverse else "pk")[: take + 1])
    more, read = len(read) > take, read[:take]
    if not backwards:
        return Page(read, first, size, more, first > 1, total)
    read.reverse()
    return Page(read, first if more else 1, size, step == "previous", more, total)


def _beyond(anchor: Model, field: str, down: bool) -> Q:
    # `f >= x AND (f > x OR pk > y)`: the form that PostgreSQL answers from an index; a plain OR makes it read everything.
    value, than = getattr(anchor, field), "lt" if down else "gt"
    return Q(**{f"{field}__{than}e": value}) & (Q(**{f"{field}__{than}": value}) | Q(**{f"pk__{than}": anchor.pk}))


def older(rows: QuerySet[Any], *, size: int, at: datetime | None = None, number: int = 0) -> Page:
    """Return the newest events before (`at`, `number`), newest first, without counting them all."""
    if at is not None:
        rows = rows.filter(Q(at__lte=at) & (Q(at__lt=at) | Q(number__lt=number)))
    read = list(rows.order_by("-at", "-number")[: size + 1])
    return Page(read[:size], 1, size, len(read) > size, at is not None)
