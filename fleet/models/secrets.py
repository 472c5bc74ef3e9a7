"""Secrets that are kept sealed: passwords for new system disks and the credentials of accounts."""

import uuid

from django.db import models


class SealedSecret(models.Model):
    """A sealed value, referred to by id and fingerprint alone.

    `sealed` holds a Fernet token over the value *and this row's id*, so that rows cannot be swapped. It is emptied when the
    secret is destroyed; the fingerprint stays, so that the trail can still say which secret it was.
    """

    class Kind(models.TextChoices):
        PASSWORD = "password", "Password"
        CREDENTIAL = "credential", "Credential"
        WEBHOOK = "webhook", "Webhook"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    sealed = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=16)
    created_at = models.DateTimeField(auto_now_add=True)
    destroyed_at = models.DateTimeField(null=True)
