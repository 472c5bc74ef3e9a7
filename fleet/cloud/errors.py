"""What a failed call means for the caller, decided by the error's code.

Documents of the provider disagree on HTTP statuses, so a status decides only where no code does:
`OperationDenied` stands in two rows of the ReplaceSystemDisk reference (400: the image holds data disks;
500: "Internal Error.").
"""

import enum
import re

from fleet.lib.redact import redact


class Retryability(enum.Enum):
    RETRY = "retry"  # nothing was done: the same call again, soon
    WAIT = "wait"  # throttled, nothing was done: again from the next whole minute
    REFUSED = "refused"  # nothing was done, and the same call will not fare better
    UNKNOWN_OUTCOME = "unknown_outcome"  # it may have been done: read before anything else


HTTP_ERROR = "SDK.HttpError"
UNREADABLE = "SDK.UnreadableAnswer"
UNEXPECTED = "SDK.UnexpectedError"

# Nothing tells whether the work was done.
_FAULTS = frozenset(
    {
        HTTP_ERROR,
        UNREADABLE,
        UNEXPECTED,
        "SDK.UnknownServerError",
        "InternalError",
        "InternalError.Timeout",
        "UnknownError",
        "ServiceUnavailable",
        "LimitedOperation.ServiceUnavailable",
        # Our nonces never repeat: somebody on the way sent the request twice, and the first one may have been
        # carried out.
        "SignatureNonceUsed",
    }
)
_AGAIN = frozenset(
    {
        "IdempotentProcessing",
        "LastTokenProcessing",
        "InvalidOperation.Conflict",
        "OperationConflict",
        "InstanceNotReady",
    }
)


class CloudError(Exception):
    """A call that did not succeed, with what that means. No text of it holds a secret or the address that
    was called.

    `code` is the provider's (or the SDK's, beginning `SDK.`, or ours, beginning `FleetOS.`); `http_status`
    and `request_id` are None and empty where no answer came.
    """

    def __init__(
        self,
        *,
        code: str,
        message: str,
        retryability: Retryability,
        http_status: int | None = None,
        request_id: str = "",
    ) -> None:
        self.code = code
        self.message = clean(message)
        self.retryability = retryability
        self.http_status = http_status
        self.request_id = request_id
        super().__init__(f"{code}: {self.message}")


def retryability_of(*, code: str, mutating: bool, http_status: int | None = None, message: str = "") -> Retryability:
    """Return what the error means for a reading or a mutating call."""
    lost = Retryability.UNKNOWN_OUTCOME if mutating else Retryability.RETRY
    if code.startswith("Throttling"):
        return Retryability.WAIT
    if code in _AGAIN:
        return Retryability.RETRY
    if code in _FAULTS or code.startswith("ServiceUnavailable."):
        return lost
    if code == "OperationDenied" and (http_status == 500 or message.startswith("Internal Error")):
        return lost
    # A code that nobody listed, on a failure of the provider's side: that it was refused is only a guess.
    if http_status is not None and http_status >= 500 and not code.startswith(("Invalid", "OperationDenied.")):
        return lost
    return Retryability.REFUSED


def clean(message: str) -> str:
    """Return the provider's text fit for logs and pages: one line, at most 300 characters, nothing secret.

    The text of a signature that does not match repeats the whole request, password included,
    percent-encoded twice: no mask finds it there, so it is cut off.
    """
    text = re.split(r"(?:server )?string to sign", message, maxsplit=1, flags=re.IGNORECASE)[0]
    text = re.sub(r"(?:https?://|/\?)\S*", "(address left out)", text)
    return redact(" ".join(text.split()))[:300]
