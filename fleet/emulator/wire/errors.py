"""The vendor's errors: a code, an HTTP status and a message, from data."""

import json
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"


class ApiError(Exception):
    """A refusal in the vendor's words."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(f"{status} {code}")
        self.code = code
        self.status = status
        self.message = message


class DropAnswer(ConnectionAbortedError):
    """Ends a request without any answer; the server closes the connection."""


@cache
def common_errors() -> dict[str, tuple[int, str]]:
    """Return the errors that are the same in every edition: code -> (status, message)."""
    raw = json.loads((DATA / "errors.json").read_text(encoding="utf-8"))
    return {code: (status, message) for code, (status, message) in raw.items()}


def common_error(code: str, **words: str) -> ApiError:
    """Build a common error, its message filled with `words`."""
    status, message = common_errors()[code]
    return ApiError(code, status, message.format(**words) if words else message)


def missing(name: str) -> ApiError:
    """Build the refusal of a request without the parameter `name`."""
    return common_error("MissingParameter", name=name)


def not_valid(name: str) -> ApiError:
    """Build the refusal of a value of the parameter `name`."""
    return common_error("InvalidParameter", name=name)
