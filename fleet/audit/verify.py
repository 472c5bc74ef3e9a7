"""Walking the chain: is every event there, unchanged, and in its place?"""

import hashlib
from dataclasses import dataclass

from django.db import connection

from fleet.models import AuditHead

GENESIS = "0" * 64


@dataclass(frozen=True)
class Verdict:
    """What a walk found: `events` walked, the head's hash, and the first number where something does not fit, with why."""

    events: int
    head: str
    broken_at: int | None = None
    why: str = ""

    @property
    def whole(self) -> bool:
        return self.broken_at is None


def verify(*, expected: dict[int, str] | None = None) -> Verdict:
    """Walk the whole chain in constant memory; `expected` are heads kept elsewhere, number to hash.

    A chain alone finds edits and gaps, and not a tail that was cut off: only heads that were kept elsewhere find that.
    """
    expected = dict(expected or {})
    previous, number = GENESIS, 0
    with connection.cursor() as plain:
        plain.execute("SELECT max(number) FROM fleet_auditevent")
        last = plain.fetchone()[0] or 0
    while number < last:
        for row in _batch(number):
            found, canonical, recomputed, previous_hash, digest = row
            number += 1
            if found != number:
                return Verdict(number - 1, previous, number, f"event {number:,} is missing")
            if previous_hash != previous:
                return Verdict(number - 1, previous, number, "it does not carry the hash of the event before")
            if canonical != recomputed:
                return Verdict(number - 1, previous, number, "its fields differ from the text that was hashed")
            if hashlib.sha256(f"{previous}\n{canonical}".encode()).hexdigest() != digest:
                return Verdict(number - 1, previous, number, "its hash does not fit its text")
            if expected.pop(number, digest) != digest:
                return Verdict(number - 1, previous, number, "its hash differs from the head that was kept elsewhere")
            previous = digest
    head = AuditHead.objects.get()
    # Events may have been appended since `last` was read; the head is then ahead, which is no damage.
    if head.number < last or (head.number == last and head.hash != previous):
        return Verdict(number, previous, last, "the head does not fit the last event")
    if expected:
        missing = min(expected)
        return Verdict(number, previous, missing, f"the tail is cut: event {missing:,} was seen once and is gone")
    return Verdict(number, previous)


def _batch(after: int, size: int = 5000) -> list[tuple[int, str, str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, canonical, fleet_audit_canonical(e), previous_hash, hash FROM fleet_auditevent e"
            " WHERE number > %s ORDER BY number LIMIT %s",
            [after, size],
        )
        return list(cursor.fetchall())
