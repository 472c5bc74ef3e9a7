"""Pages by number and pages by token, with the vendor's limits for each call."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fleet.emulator.wire.errors import common_error, not_valid
from fleet.emulator.wire.params import Params

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part is wanted: `size` items from `offset`; `by_token` says how it was asked for."""

    size: int
    offset: int
    by_token: bool
    number: int


def page_of(
    params: Params,
    *,
    most: int = 100,
    default: int = 10,
    tokens: bool = False,
    most_by_token: int = 100,
    least: int = 10,
) -> Page:
    """Read PageNumber and PageSize or, where the call has them, NextToken and MaxResults.

    MaxResults below `least` counts as `least`; a greater value than allowed is refused, as is a token we did not give.
    """
    token, max_results = params.get("NextToken"), params.integer("MaxResults")
    if tokens and (token or max_results is not None):
        if max_results is not None and not 1 <= max_results <= most_by_token:
            raise not_valid("MaxResults")
        return Page(max(least, max_results or default), _offset_of(token), True, 1)
    number, size = params.integer("PageNumber"), params.integer("PageSize")
    if number is not None and not 1 <= number <= 10**9:
        raise not_valid("PageNumber")
    if size is not None and not 1 <= size <= most:
        raise not_valid("PageSize")
    size = size or default
    return Page(size, ((number or 1) - 1) * size, False, number or 1)


def cut(page: Page, items: Sequence[T], wanted: Callable[[T], bool] | None = None) -> tuple[list[T], dict[str, Any]]:
    """Return the items of a page and the paging fields of the answer.

    By token the walk ends as soon as the page is full, so that a page costs the same at any depth; TotalCount then
    is that of the whole collection, which the vendor calls meaningless.
    """
    if page.by_token:
        return _cut_by_token(page, items, wanted)
    matching = items if wanted is None else [item for item in items if wanted(item)]
    found = list(matching[page.offset : page.offset + page.size])
    fields = {"TotalCount": len(matching), "PageNumber": page.number, "PageSize": page.size, "NextToken": ""}
    return found, fields


def _cut_by_token(page: Page, items: Sequence[T], wanted: Callable[[T], bool] | None) -> tuple[list[T], dict[str, Any]]:
    found: list[T] = []
    index = page.offset
    while index < len(items) and len(found) < page.size:
        if wanted is None or wanted(items[index]):
            found.append(items[index])
        index += 1
    while wanted is not None and index < len(items) and not wanted(items[index]):
        index += 1
    token = _token_of(index) if index < len(items) else ""
    return found, {"TotalCount": len(items), "PageNumber": 1, "PageSize": page.size, "NextToken": token}


def _token_of(offset: int) -> str:
    return base64.urlsafe_b64encode(f"emu:{offset}".encode()).decode()


def _offset_of(token: str) -> int:
    if not token:
        return 0
    try:
        kind, _, offset = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
    except (binascii.Error, ValueError):
        raise common_error("InvalidParameter.NextToken") from None
    if kind != "emu" or not (offset.isascii() and offset.isdigit() and len(offset) < 12):
        raise common_error("InvalidParameter.NextToken")
    return int(offset)
