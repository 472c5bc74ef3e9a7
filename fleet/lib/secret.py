"""Secrets: in memory, where no text shows them, and at rest, where they are sealed."""

import hashlib
import hmac
import json
from typing import NoReturn

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class Secret:
    """A value that no text, log, pickle or JSON shows by accident: only `reveal()` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        return bool(self._value)


class SealBroken(Exception):
    """A sealed text cannot be opened: it was sealed with another key, or for another row."""


def seal(secret: Secret, *, row_id: str) -> str:
    """Return `secret` sealed for the row `row_id`, with the first of the keys."""
    return _fernet().encrypt(json.dumps([row_id, secret.reveal()]).encode()).decode()


def unseal(sealed: str, *, row_id: str) -> Secret:
    """Return the secret; SealBroken where it was sealed for another row, or with a key that we no longer have."""
    try:
        owner, value = json.loads(_fernet().decrypt(sealed.encode()))
    except InvalidToken:
        raise SealBroken("The sealed value does not open with any of the present keys") from None
    if owner != row_id:
        raise SealBroken("The sealed value belongs to another row")
    return Secret(value)


def reseal(sealed: str, *, row_id: str) -> str:
    """Return the same secret sealed with the first of the keys; the text itself where that is so already.

    SealBroken as for `unseal`. The fingerprint of the secret stays as it was, since approvals are signed over it.
    """
    secret = unseal(sealed, row_id=row_id)
    try:
        Fernet(_keys()[0]).decrypt(sealed.encode())
    except InvalidToken:
        return seal(secret, row_id=row_id)
    return sealed


def fingerprint(secret: Secret) -> str:
    """Return 16 hexadecimal digits by which two secrets can be told apart, and from which neither can be found.

    It is made with a key, since a plain hash of a short password could be found by trying.
    """
    return hmac.new(_keys()[0].encode(), secret.reveal().encode(), hashlib.sha256).hexdigest()[:16]


def _keys() -> list[str]:
    keys: list[str] = settings.SEAL_KEYS
    if not keys:
        raise ImproperlyConfigured("No sealing key: set FLEET_SEAL_KEYS, or let `manage.py up` make var/seal-keys")
    return keys


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in _keys()])
