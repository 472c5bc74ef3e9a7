"""Sealing every secret again with the first key, so that older keys can be removed."""

from dataclasses import dataclass

from django.db import transaction

from fleet.audit.trail import record
from fleet.lib.secret import SealBroken, reseal
from fleet.models import SealedSecret


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many secrets were sealed again, how many had the first key already, and the ids of those that could not be opened."""

    resealed: int
    already: int
    broken: list[str]


@transaction.atomic
def rotate() -> Rotated:
    """Seal every secret that was not destroyed with the first key. One that is destroyed meanwhile stays destroyed.

    This can be interrupted and repeated at any time: a secret opens with any of the present keys.
    """
    resealed, already, broken = 0, 0, []
    rows = SealedSecret.objects.filter(destroyed_at=None).exclude(sealed="").order_by("created_at", "pk")
    for row in rows.iterator():
        try:
            sealed = reseal(row.sealed, row_id=str(row.pk))
        except SealBroken:
            broken.append(str(row.pk))
            continue
        if sealed == row.sealed:
            already += 1
        else:
            # Only where it is still what was read: it may have been destroyed since.
            resealed += SealedSecret.objects.filter(pk=row.pk, sealed=row.sealed).update(sealed=sealed)
    if resealed or broken:
        data = {"resealed": resealed, "already": already, "broken": broken}
        record(action="secret.rotated", subject="secrets", data=data)
    return Rotated(resealed, already, broken)
