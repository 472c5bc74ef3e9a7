"""What callers that know nothing of the cloud are told where a reading fails."""

import enum
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.cloud import CloudError, Retryability


class TryAgain(enum.Enum):
    """When the same reading may succeed."""

    SOON = "soon"
    NEXT_MINUTE = "next_minute"  # the quota of the account is counted in fixed minutes
    NEVER = "never"  # it was refused, and the same reading will be refused again


class NotReadable(Exception):
    """A reading that failed. `code` is the provider's or ours, `message` its words without anything secret."""

    def __init__(self, code: str, message: str, again: TryAgain) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.again = code, message, again


@contextmanager
def as_not_readable() -> Iterator[None]:
    """Raise a NotReadable for a CloudError of the readings inside."""
    try:
        yield
    except CloudError as error:
        again = {Retryability.REFUSED: TryAgain.NEVER, Retryability.WAIT: TryAgain.NEXT_MINUTE}
        raise NotReadable(error.code, error.message, again.get(error.retryability, TryAgain.SOON)) from error
