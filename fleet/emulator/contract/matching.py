"""Filters that several Describe calls share."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

from fleet.emulator.wire.errors import common_error
from fleet.emulator.wire.params import Params

T = TypeVar("T")
Test = Callable[[T], bool]


def all_of(tests: list[Callable[[T], bool]]) -> Callable[[T], bool] | None:
    """Join tests; None if there are none, so that a walk need not call anything."""
    if not tests:
        return None
    return lambda item: all(test(item) for test in tests)


def name_matches(pattern: str, name: str) -> bool:
    """Compare a name with a pattern in which * stands for anything."""
    return fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def tags_match(wanted: list[tuple[str, str]], tags: Mapping[str, str]) -> bool:
    """Say whether all wanted tags are there; an empty value asks for the key only."""
    return all(key in tags and (not value or tags[key] == value) for key, value in wanted)


def tag_list(tags: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """Write tags as the API shows them."""
    return {"Tag": [{"TagKey": key, "TagValue": value} for key, value in tags.items()]}


def check_dry_run(params: Params) -> None:
    """Raise the error that is the success of a dry run."""
    if params.boolean("DryRun"):
        raise common_error("DryRunOperation")
