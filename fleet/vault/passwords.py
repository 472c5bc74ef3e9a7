"""The life of a password for new system disks: sealed at once, opened for the call alone, destroyed when the change ends."""

from datetime import datetime

from fleet.audit.trail import record_on
from fleet.lib.secret import Secret, fingerprint, seal, unseal
from fleet.models import Change, SealedSecret, User


def seal_password(password: Secret, *, change: Change, actor: User) -> SealedSecret:
    """Store `password` sealed, in the transaction that is open, and return its row."""
    row = SealedSecret(kind=SealedSecret.Kind.PASSWORD, fingerprint=fingerprint(password))
    row.sealed = seal(password, row_id=str(row.pk))
    row.save(force_insert=True)
    record_on(change, "secret.sealed", actor, fingerprint=row.fingerprint)
    return row


def open_password(change: Change) -> Secret | None:
    """Return the change's password, or None where it has none. For the worker alone, at the call.

    Raises SealBroken where the password was destroyed, or sealed with a key that we do not have.
    """
    return unseal(change.secret.sealed, row_id=str(change.secret.pk)) if change.secret else None


def destroy_password(secret: SealedSecret | None, *, change: Change, now: datetime, actor: User | None = None) -> None:
    """Empty the sealed text, so that nobody can open it again. The fingerprint stays for the audit trail."""
    if secret is None or secret.destroyed_at:
        return
    secret.sealed, secret.destroyed_at = "", now
    secret.save(update_fields=["sealed", "destroyed_at"])
    record_on(change, "secret.destroyed", actor, fingerprint=secret.fingerprint)
