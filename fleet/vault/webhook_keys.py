"""The secrets that sign our messages to webhooks: made here, shown once, stored sealed."""

import base64
import secrets

from fleet.lib.secret import Secret, fingerprint, seal, unseal
from fleet.lib.signing import SECRET_PREFIX, key_of
from fleet.models import SealedSecret, Webhook

BYTES = 32


def make_secret() -> tuple[SealedSecret, Secret]:
    """Make a secret; return its stored, sealed row, and the secret in the form that its receiver is shown once."""
    secret = Secret(SECRET_PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode())
    row = SealedSecret(kind=SealedSecret.Kind.WEBHOOK, fingerprint=fingerprint(secret))
    row.sealed = seal(secret, row_id=str(row.pk))
    row.save(force_insert=True)
    return row, secret


def secret_of(webhook: Webhook) -> bytes:
    """Return the bytes that sign a message. Raises SealBroken where the secret was sealed with a key that we do not have."""
    return key_of(unseal(webhook.secret.sealed, row_id=str(webhook.secret.pk)).reveal())
