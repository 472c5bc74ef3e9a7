"""A pasted list of ids, names or addresses: a verdict for each entry, and the machines that it means."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from django.db.models import QuerySet

from fleet.changes.drafting.selection import Omission, permitted
from fleet.inventory.queries import by_name
from fleet.lib.refused import Refused
from fleet.lib.text import count, listed
from fleet.models import Instance, Role, User

MOST_ENTRIES = 10_000
MOST_LETTERS = 200  # of an entry; no name or id is longer
BETWEEN = re.compile(r"[\s,;|\"'<>()\[\]{}\x00]+")


class PasteKind(StrEnum):
    FOUND = "found"
    ALREADY = "already"
    DUPLICATE = "duplicate"
    SEVERAL = "several"
    UNKNOWN = "unknown"
    GONE = "gone"
    NOT_PERMITTED = "not_permitted"


# What becomes a near miss of the draft; the others are in it, once.
MISSES = (PasteKind.SEVERAL, PasteKind.UNKNOWN, PasteKind.GONE, PasteKind.NOT_PERMITTED)


@dataclass(frozen=True, slots=True)
class PasteResult:
    """What one entry means: its line, its text, the machine where there is one, and a sentence where it is not taken."""

    line: int
    text: str
    kind: PasteKind
    machine: Instance | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """All verdicts in order, and how many there are of each kind."""

    verdicts: list[PasteResult]
    counts: Counter[PasteKind] = field(default_factory=Counter)

    @property
    def good(self) -> list[int]:
        """Return the machines that can be taken into the selection."""
        return [one.machine.pk for one in self.verdicts if one.kind == PasteKind.FOUND and one.machine]

    @property
    def misses(self) -> list[Omission]:
        """Return what a draft is to list as left out, each text once."""
        found = {
            one.text: Omission(one.kind, one.why, one.machine, one.text) for one in self.verdicts if one.kind in MISSES
        }
        return list(found.values())


def entries_of(text: str) -> list[tuple[int, str]]:
    """Return the entries with their line numbers; anything between words separates them.

    Refused: none at all, or more than a change takes.
    """
    found = [
        (number, part[:MOST_LETTERS])
        for number, line in enumerate(text.splitlines(), start=1)
        for part in BETWEEN.split(line)
        if part
    ]
    if not found:
        raise Refused("The list is empty. Paste ids, names or addresses, or choose a file.", field="text")
    if len(found) > MOST_ENTRIES:
        raise Refused(
            f"The list has {len(found):,} entries; {MOST_ENTRIES:,} are the most. Cut it in parts.", field="text"
        )
    return found


def judge(*, actor: User, text: str, visible: QuerySet[Instance], picked: Collection[int]) -> Judgement:
    """Judge a pasted text among the machines that the actor may see, present and gone: two queries, however long it is."""
    entries = entries_of(text)
    fitting = by_name(visible, {entry.lower() for _, entry in entries})
    may = permitted(actor, Role.OPERATOR, Role.ADMIN)
    taken: dict[int, int] = {}
    verdicts = []
    for line, entry in entries:
        kind, machine, why = _meant(entry, fitting.get(entry.lower(), ()))
        if machine is not None and kind == PasteKind.FOUND:
            if not may.covers(machine):
                kind, why = PasteKind.NOT_PERMITTED, f"You are no operator for {machine}"
            elif machine.pk in taken:
                kind, why = PasteKind.DUPLICATE, f"The same machine as on line {taken[machine.pk]:,}"
            elif machine.pk in picked:
                kind, why = PasteKind.ALREADY, "In the selection already"
            taken.setdefault(machine.pk, line)
        verdicts.append(PasteResult(line, entry, kind, machine, why))
    return Judgement(verdicts, Counter(one.kind for one in verdicts))


def _meant(entry: str, fitting: Sequence[Instance]) -> tuple[PasteKind, Instance | None, str]:
    present = [one for one in fitting if one.gone_at is None]
    # An id means one machine, whatever else is named like it.
    present = [one for one in present if one.instance_id.lower() == entry.lower()] or present
    if len(present) == 1:
        return PasteKind.FOUND, present[0], ""
    if present:
        names = listed([f"{one.instance_id} in {one.account}, {one.region}" for one in present])
        return PasteKind.SEVERAL, None, f"{count(len(present), 'machine')} fit: {names}. Paste the id"
    if fitting:
        when = max(one.gone_at for one in fitting if one.gone_at)
        return PasteKind.GONE, fitting[0], f"Gone from the cloud since {when.day} {when:%b %Y}"
    return PasteKind.UNKNOWN, None, "No machine that you may see has this id, name or address"
