"""What was meant to be in a draft and is not: a machine, or what was typed for one, with the reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fleet.models import Change, Instance, LeftOut


@dataclass(frozen=True, slots=True)
class Omission:
    """A machine that stays out of a draft, by code and reason. `named` is what was typed, where the machines were typed."""

    code: str
    reason: str
    instance: Instance | None = None
    named: str = ""


def list_left_out(change: Change, omissions: Iterable[Omission], now: datetime) -> int:
    """List what was omitted in the draft, for its author and its reviewers to read, and return how much it was."""
    rows = [
        LeftOut(
            change=change,
            instance=omission.instance,
            named=omission.named[:200],
            code=omission.code,
            reason=omission.reason[:400],
            at=now,
        )
        for omission in omissions
    ]
    LeftOut.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)
