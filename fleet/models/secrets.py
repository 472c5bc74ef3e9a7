"""Secrets that are kept sealed: passwords for new system disks, credentials of accounts, keys of webhooks."""

import uuid

from django.db import models


class SealedSecret(models.Model):
    """A sealed value. Elsewhere only its id and its fingerprint appear.

    `sealed` is a Fernet token of the value *and the id of this row*, so that two rows cannot be exchanged. It is emptied when
    the secret is destroyed; the fingerprint stays, so that the audit trail can still say which secret it was.
    """

    class Kind(models.TextChoices):
        """What the secret is for."""

        PASSWORD = "password", "Password"
        CREDENTIAL = "credential", "Credential"
        WEBHOOK = "webhook", "Webhook"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    sealed = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=16)
    created_at = models.DateTimeField(auto_now_add=True)
    destroyed_at = models.DateTimeField(null=True)
