"""The last defence against secrets in logs: whatever looks like one is masked. The first is never to log a secret."""

import logging
import re

_PATTERNS = [
    # A parameter in a query, a form, a dictionary or a header.
    re.compile(
        r"((?:password|passwd|secret|signature|accesskeyid|securitytoken|clienttoken|authorization)[\"']?\s*[=:]\s*[\"']?)"
        r"[^&\s\"',}]+",
        re.IGNORECASE,
    ),
    re.compile(r"(postgres(?:ql)?://[^:/\s]+:)[^@\s]+(?=@)"),
]


def redact(text: str) -> str:
    """Return `text` with the value of everything that is named like a secret masked."""
    for pattern in _PATTERNS:
        text = pattern.sub(r"\1***", text)
    return text


class RedactingFilter(logging.Filter):
    """Mask secrets in a record's message and in its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
