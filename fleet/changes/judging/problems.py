"""What can be wrong with a disk_request for a machine, as data: the code, the words, and what to do.

Codes with a dot or a capital are the API's own (ReplaceSystemDisk reference, error codes); ours are in lower case.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    BLOCK = "block"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that stands against a machine or a field."""

    code: str
    severity: Severity
    why: str
    do: str
    field: str = ""

    @property
    def blocks(self) -> bool:
        return self.severity is Severity.BLOCK

    @property
    def api_code(self) -> str:
        """The API's own code, or nothing where the finding is ours."""
        return "" if self.code.islower() else self.code


def block(code: str, why: str, do: str, field: str = "") -> Problem:
    return Problem(code, Severity.BLOCK, why, do, field)


def warn(code: str, why: str, do: str, field: str = "") -> Problem:
    return Problem(code, Severity.WARN, why, do, field)
