"""What a failed call means for its caller: the code of the error decides.

The provider's documents disagree on HTTP statuses, so a status decides only where the code alone cannot: `OperationDenied`
stands in two rows of the ReplaceSystemDisk reference (400: the image holds data disks; 500: "Internal Error.").
"""

import enum
import re

from fleet.lib.redact import redact


class Retryability(enum.Enum):
    """Whether a call that failed may be tried again."""

    RETRY = "retry"  # nothing was done: the same call may be tried again soon
    WAIT = "wait"  # throttled, nothing was done: the same call may be tried again from the next whole minute on
    REFUSED = "refused"  # nothing was done, and the same call would be refused again
    UNKNOWN_OUTCOME = "unknown_outcome"  # it may have been done: read before anything else


HTTP_ERROR = "SDK.HttpError"
UNREADABLE = "SDK.UnreadableAnswer"
UNEXPECTED = "SDK.UnexpectedError"

# Errors after which nobody knows whether the work was done.
_UNCLEAR = frozenset(
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
        # Our nonces never repeat: a proxy on the way sent the request twice, and the first may have been carried out.
        "SignatureNonceUsed",
    }
)
# Errors that pass by themselves, after which nothing was done.
_PASSING = frozenset(
    {
        "IdempotentProcessing",
        "LastTokenProcessing",
        "InvalidOperation.Conflict",
        "OperationConflict",
        "InstanceNotReady",
    }
)


class CloudError(Exception):
    """A call that did not succeed, and whether it may be tried again. Its text holds no secret and no address.

    `code` is the provider's, the SDK's (beginning with `SDK.`) or ours (beginning with `FleetOS.`). Where no answer came,
    `http_status` is None and `request_id` is empty.
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
    """Return whether a call that failed like this may be tried again; `mutating` says whether the call changes something."""
    unclear = Retryability.UNKNOWN_OUTCOME if mutating else Retryability.RETRY
    if code.startswith("Throttling"):
        return Retryability.WAIT
    if code in _PASSING:
        return Retryability.RETRY
    if code in _UNCLEAR or code.startswith("ServiceUnavailable."):
        return unclear
    if code == "OperationDenied" and (http_status == 500 or message.startswith("Internal Error")):
        return unclear
    # A failure on the provider's side with a code that nobody lists: to call it refused would be a guess.
    if http_status is not None and http_status >= 500 and not code.startswith(("Invalid", "OperationDenied.")):
        return unclear
    return Retryability.REFUSED


def clean(message: str) -> str:
    """Return the provider's text as logs and pages may show it: one line, at most 300 characters, nothing secret.

    Where a signature does not match, the text repeats the whole request, with the password in it and percent-encoded twice. No
    mask would find it there, so that part is cut off.
    """
    text = re.split(r"(?:server )?string to sign", message, maxsplit=1, flags=re.IGNORECASE)[0]
    text = re.sub(r"(?:https?://|/\?)\S*", "(address left out)", text)
    return redact(" ".join(text.split()))[:300]
