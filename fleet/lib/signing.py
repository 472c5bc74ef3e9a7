"""Signing messages by Standard Webhooks (standardwebhooks.com): a receiver can check them with any of its libraries."""

import base64
import hashlib
import hmac

SECRET_PREFIX = "whsec_"


def sign(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header `webhook-signature`: `v1,` and the HMAC-SHA256 of id, time and body in base64.

    `timestamp` is in whole seconds since 1970, as in the header `webhook-timestamp`; `message_id` is that of `webhook-id`.
    """
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def headers(secret: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return all headers of a signed message with a JSON body."""
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, body),
    }


def key_of(secret: str) -> bytes:
    """Return the bytes of a secret in the form in which receivers keep it: base64, with or without `whsec_`; else ValueError."""
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
