"""Walking the chain: is every event there, unchanged, and in its place?"""

import hashlib
from dataclasses import dataclass

from django.db import connection

from fleet.models import AuditHead

GENESIS = "0" * 64


@dataclass(frozen=True)
class ChainCheck:
    """What a walk found: how many `events` fit, the hash of the last, and the first number that does not fit, with why."""

    events: int
    head: str
    broken_at: int | None = None
    why: str = ""

    @property
    def whole(self) -> bool:
        return self.broken_at is None


def verify(*, expected: dict[int, str] | None = None) -> ChainCheck:
    """Walk the whole chain in constant memory; `expected` are heads kept elsewhere, number to hash.

    A chain alone finds edits and gaps, and not a tail that was cut off: only heads that were kept elsewhere find that.
    """
    expected = dict(expected or {})
    previous, number = GENESIS, 0
    # The head first: what is appended while we walk is beyond it, and what is missing below it is found.
    head = AuditHead.objects.get()
    while number < head.number:
        batch = _batch(number, head.number)
        if not batch:
            return ChainCheck(number, previous, number + 1, f"event {number + 1:,} and all after it are missing")
        for row in batch:
            found, canonical, recomputed, previous_hash, digest = row
            number += 1
            if found != number:
                return ChainCheck(number - 1, previous, number, f"event {number:,} is missing")
            if previous_hash != previous:
                return ChainCheck(number - 1, previous, number, "it does not carry the hash of the event before")
            if canonical != recomputed:
                return ChainCheck(number - 1, previous, number, "its fields differ from the text that was hashed")
            if hashlib.sha256(f"{previous}\n{canonical}".encode()).hexdigest() != digest:
                return ChainCheck(number - 1, previous, number, "its hash does not fit its text")
            if expected.pop(number, digest) != digest:
                return ChainCheck(
                    number - 1, previous, number, "its hash differs from the head that was kept elsewhere"
                )
            previous = digest
    if head.hash != previous:
        return ChainCheck(number, previous, max(number, 1), "the head does not fit the last event")
    if expected:
        missing = min(expected)
        return ChainCheck(number, previous, missing, f"the tail is cut: event {missing:,} was seen once and is gone")
    return ChainCheck(number, previous)


def _batch(after: int, last: int, size: int = 5000) -> list[tuple[int, str, str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, canonical, fleet_audit_canonical(e), previous_hash, hash FROM fleet_auditevent e"
            " WHERE number > %s AND number <= %s ORDER BY number LIMIT %s",
            [after, last, size],
        )
        return list(cursor.fetchall())
