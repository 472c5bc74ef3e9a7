"""What can stand against a disk request for a machine: the code, the sentence, and what to do.

Codes with a capital letter are the API's own (error codes of the ReplaceSystemDisk reference); ours are in lower case.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a problem keeps a machine from being replaced, or is only to be known."""

    BLOCK = "block"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that stands against a machine, or against a field of the draft: why, and what to do."""

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
        """The code where it is the API's own, else an empty text."""
        return "" if self.code.islower() else self.code


def block(code: str, why: str, do: str, field: str = "") -> Problem:
    """Return a problem that blocks the machine."""
    return Problem(code, Severity.BLOCK, why, do, field)


def warn(code: str, why: str, do: str, field: str = "") -> Problem:
    """Return a problem that a reviewer must know of, and that blocks nothing."""
    return Problem(code, Severity.WARN, why, do, field)
