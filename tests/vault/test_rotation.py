"""Rotating the sealing keys: every live secret opens with the first key alone, and nothing that was destroyed comes back."""

from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from fleet.lib.clock import DatabaseClock
from fleet.lib.secret import SealBroken, Secret, fingerprint, seal, unseal
from fleet.models import AuditEvent, SealedSecret
from fleet.vault.rotation import rotate

pytestmark = pytest.mark.django_db
OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


def sealed(value: str, kind: str = "password") -> SealedSecret:
    row = SealedSecret(kind=kind, fingerprint=fingerprint(Secret(value)))
    row.sealed = seal(Secret(value), row_id=str(row.pk))
    row.save(force_insert=True)
    return row


def run() -> str:
    said = StringIO()
    call_command("rotate_secrets", stdout=said)
    return said.getvalue()


def test_every_kind_is_sealed_with_the_first_key_and_opens_with_it_alone(settings: LazySettings) -> None:
    settings.SEAL_KEYS = [OLD]
    rows = [sealed(f"Value-{kind}", kind) for kind in SealedSecret.Kind.values]
    prints = [row.fingerprint for row in rows]
    settings.SEAL_KEYS = [NEW, OLD]
    assert f"{len(rows)} secrets sealed anew, 0 sealed with the first key already." in run()
    settings.SEAL_KEYS = [NEW]
    for row in rows:
        row.refresh_from_db()
        assert unseal(row.sealed, row_id=str(row.pk)).reveal() == f"Value-{row.kind}"
    assert [row.fingerprint for row in rows] == prints  # approvals are signed over them
    event = AuditEvent.objects.get(action="secret.rotated")
    assert event.data == {"resealed": len(rows), "already": 0, "broken": []}
    assert "0 secrets sealed anew, 3 sealed with the first key already." in run()
    assert AuditEvent.objects.filter(action="secret.rotated").count() == 1  # nothing happened, so nothing is recorded


def test_what_was_sealed_anew_still_belongs_to_its_row(settings: LazySettings) -> None:
    settings.SEAL_KEYS = [OLD]
    mine, other = sealed("Mine-1"), sealed("Other-1")
    SealedSecret.objects.filter(pk=other.pk).update(sealed=mine.sealed)
    settings.SEAL_KEYS = [NEW, OLD]
    rotated = rotate()
    assert rotated.broken == [str(other.pk)]  # swapped rows are found, and not made good
    mine.refresh_from_db()
    with pytest.raises(SealBroken):
        unseal(mine.sealed, row_id=str(other.pk))


def test_a_destroyed_secret_stays_destroyed(settings: LazySettings) -> None:
    settings.SEAL_KEYS = [OLD]
    row = sealed("Gone-1")
    SealedSecret.objects.filter(pk=row.pk).update(sealed="", destroyed_at=DatabaseClock().now())
    settings.SEAL_KEYS = [NEW, OLD]
    assert rotate().resealed == 0
    row.refresh_from_db()
    assert row.sealed == ""


def test_one_that_does_not_open_is_named_and_stops_no_other(settings: LazySettings) -> None:
    settings.SEAL_KEYS = [OTHER]
    lost = sealed("Lost-1")
    settings.SEAL_KEYS = [OLD]
    kept = sealed("Kept-1")
    settings.SEAL_KEYS = [NEW, OLD]
    with pytest.raises(CommandError, match=f"1 secret does not open.*{lost.pk}"):
        run()
    settings.SEAL_KEYS = [NEW]
    kept.refresh_from_db()
    assert unseal(kept.sealed, row_id=str(kept.pk)).reveal() == "Kept-1"
