"""Limits, classes and errors of ReplaceSystemDisk as data, in two editions: 2018 (the reference) and 2026 (today's)."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from fleet.emulator.wire.errors import DATA, ApiError, common_errors

NAMES = ("2018", "2026")
# One code stands for two rows of the reference; a fault or a patch asks for either by these names.
ALIASES = {
    "OperationDenied.400": "DataDiskSnapshot",
    "OperationDenied.500": "InternalDenied",
    "OperationDenied": "InternalDenied",
}


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition: the rules for passwords and sizes, and the errors by the name that the rules use."""

    name: str
    password: dict[str, Any]
    sizes: dict[str, dict[str, int]]
    windows_least: int
    default_size: int
    refuses_data_disk_snapshots: bool
    extra_parameters: tuple[str, ...]
    errors: dict[str, tuple[str, int, str]]

    def error(self, name: str) -> ApiError:
        """Build the refusal called `name`, a rule's name or an error code; an unknown one is taken literally as a 400."""
        name = ALIASES.get(name, name)
        if name in self.errors:
            return ApiError(*self.errors[name])
        for code, status, message in self.errors.values():
            if code == name:
                return ApiError(code, status, message)
        status, message = common_errors().get(name, (400, f"The request was refused: {name}."))
        return ApiError(name, status, message)

    def size_limits(self, *, category: str, performance_level: str) -> tuple[int, int]:
        """Return the least and the greatest size of a system disk in GiB."""
        for key in (f"{category}/{performance_level}", category, "*"):
            if key in self.sizes:
                return self.sizes[key]["least"], self.sizes[key]["most"]
        raise KeyError(category)


@cache
def edition(name: str) -> Edition:
    """Load an edition; raise KeyError if there is none of that name."""
    if name not in NAMES:
        raise KeyError(name)
    raw = json.loads((DATA / f"edition_{name}.json").read_text(encoding="utf-8"))
    raw["errors"] = {key: tuple(value) for key, value in raw["errors"].items()}
    raw["extra_parameters"] = tuple(raw["extra_parameters"])
    return Edition(**raw)
