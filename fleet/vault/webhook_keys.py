"""The secrets with which messages to webhooks are signed: made here, shown once, kept sealed."""

import base64
import secrets

from fleet.lib.secret import Secret, fingerprint, seal, unseal
from fleet.lib.signing import SECRET_PREFIX, key_of
from fleet.models import SealedSecret, Webhook

BYTES = 32


def make_secret() -> tuple[SealedSecret, Secret]:
    """Return a new secret as its sealed row, stored, and in the form that its receiver is told, once."""
    secret = Secret(SECRET_PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode())
    row = SealedSecret(kind=SealedSecret.Kind.WEBHOOK, fingerprint=fingerprint(secret))
    row.sealed = seal(secret, row_id=str(row.pk))
    row.save(force_insert=True)
    return row, secret


def secret_of(webhook: Webhook) -> bytes:
    """Return the key's bytes, for signing. Raises SealBroken where it was sealed with a key that is gone."""
    return key_of(unseal(webhook.secret.sealed, row_id=str(webhook.secret.pk)).reveal())
