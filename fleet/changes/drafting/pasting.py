"""A pasted list of ids, names or addresses: what each entry means, and which machines can be taken from it."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from django.db.models import QuerySet

from fleet.changes.drafting.omissions import Omission
from fleet.changes.drafting.selection import permitted
from fleet.inventory.queries import by_name
from fleet.lib.refused import Refused
from fleet.lib.text import count, listed
from fleet.models import Instance, Role, User

MOST_ENTRIES = 10_000
MOST_LETTERS = 200  # of an entry; no name or id is longer
BETWEEN = re.compile(r"[\s,;|\"'<>()\[\]{}\x00]+")


class PasteKind(StrEnum):
    """What became of an entry of a pasted list."""

    FOUND = "found"
    ALREADY = "already"
    DUPLICATE = "duplicate"
    SEVERAL = "several"
    UNKNOWN = "unknown"
    GONE = "gone"
    NOT_PERMITTED = "not_permitted"


# Entries that the draft will list as left out; what the others mean is in it, once.
OMITTED = (PasteKind.SEVERAL, PasteKind.UNKNOWN, PasteKind.GONE, PasteKind.NOT_PERMITTED)


@dataclass(frozen=True, slots=True)
class PasteResult:
    """What one entry means: its line, its text, the machine where there is one, and why it is not taken where it is not."""

    line: int
    text: str
    kind: PasteKind
    machine: Instance | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class PastedList:
    """What all entries mean, in their order, and how many there are of each kind."""

    entries: list[PasteResult]
    counts: Counter[PasteKind] = field(default_factory=Counter)

    @property
    def machines(self) -> list[int]:
        """The primary keys of the machines that can be taken into the selection."""
        return [entry.machine.pk for entry in self.entries if entry.kind == PasteKind.FOUND and entry.machine]

    @property
    def omissions(self) -> list[Omission]:
        """What a draft is to list as left out, each text once."""
        omitted = [entry for entry in self.entries if entry.kind in OMITTED]
        return list(
            {entry.text: Omission(entry.kind, entry.why, entry.machine, entry.text) for entry in omitted}.values()
        )


def entries_of(text: str) -> list[tuple[int, str]]:
    """Return the entries of a pasted text with their line numbers. White space, commas, quotes and brackets separate them.

    Refused: a text without any entry, or with more entries than a change takes machines.
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


def look_up(*, actor: User, text: str, visible: QuerySet[Instance], picked: Collection[int]) -> PastedList:
    """Find what each entry of a pasted text means: two queries, however long the text is.

    `visible` are the machines that the actor may see, also those that are gone; `picked` are in the selection already.
    """
    entries = entries_of(text)
    fitting = by_name(visible, {entry.lower() for _, entry in entries})
    may = permitted(actor, Role.OPERATOR, Role.ADMIN)
    taken: dict[int, int] = {}
    results = []
    for line, entry in entries:
        kind, machine, why = _meaning(entry, fitting.get(entry.lower(), ()))
        if machine is not None and kind == PasteKind.FOUND:
            if not may.covers(machine):
                kind, why = PasteKind.NOT_PERMITTED, f"You are no operator for {machine}"
            elif machine.pk in taken:
                kind, why = PasteKind.DUPLICATE, f"The same machine as on line {taken[machine.pk]:,}"
            elif machine.pk in picked:
                kind, why = PasteKind.ALREADY, "In the selection already"
            taken.setdefault(machine.pk, line)
        results.append(PasteResult(line, entry, kind, machine, why))
    return PastedList(results, Counter(result.kind for result in results))


def _meaning(entry: str, fitting: Sequence[Instance]) -> tuple[PasteKind, Instance | None, str]:
    present = [machine for machine in fitting if machine.gone_at is None]
    # An id means one machine, even where another machine has it as a name.
    present = [machine for machine in present if machine.instance_id.lower() == entry.lower()] or present
    if len(present) == 1:
        return PasteKind.FOUND, present[0], ""
    if present:
        names = listed([f"{machine.instance_id} in {machine.account}, {machine.region}" for machine in present])
        return PasteKind.SEVERAL, None, f"{count(len(present), 'machine')} fit: {names}. Paste the id"
    if fitting:
        when = max(machine.gone_at for machine in fitting if machine.gone_at)
        return PasteKind.GONE, fitting[0], f"Gone from the cloud since {when.day} {when:%b %Y}"
    return PasteKind.UNKNOWN, None, "No machine that you may see has this id, name or address"
