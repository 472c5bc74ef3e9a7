"""The ticked machines: they live in the form, so that they survive filtering and paging, with and without JavaScript."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import QuerySet
from django.http import QueryDict

from fleet.changes.drafting import MOST_MACHINES as MOST
from fleet.models import Instance


@dataclass(frozen=True)
class Selection:
    """The ticked machines by primary key, and a sentence where what was asked could not be done."""

    picked: frozenset[int] = field(default_factory=frozenset)
    refused: str = ""

    def here(self, rows: Iterable[Instance]) -> frozenset[int]:
        """Return those that are on the page."""
        return self.picked & {row.pk for row in rows}

    def elsewhere(self, rows: Iterable[Instance]) -> list[int]:
        """Return those on other pages, which the page carries along in hidden fields."""
        return sorted(self.picked - {row.pk for row in rows})


def selection_of(
    data: QueryDict, *, visible: QuerySet[Instance], matching: QuerySet[Instance], total: int
) -> Selection:
    """Read the selection from the form (one query, two with "all") and do what the bulk bar's buttons ask.

    Ids that the person may not see are dropped. "All matching" is resolved to ids here, never later, and adds to what is
    ticked already.
    """
    act = data.get("act")
    if act == "clear":
        return Selection()
    asked = {int(pk) for pk in data.getlist("instance") if pk.isdecimal() and len(pk) < 18}
    picked = frozenset(visible.filter(pk__in=asked).values_list("pk", flat=True)) if asked else frozenset()
    if act == "all":
        if total > MOST:
            said = f"{total:,} machines match, and a change holds at most {MOST:,}. Narrow the filter, then select all."
            return Selection(picked, said)
        picked |= frozenset(matching.values_list("pk", flat=True))
    if len(picked) > MOST:
        said = f"{len(picked):,} machines are selected, and a change holds at most {MOST:,}. Take some out."
        return Selection(picked, said)
    if act == "change" and not picked:
        return Selection(
            refused="No machine is selected. Tick the machines whose system is to change, then press again."
        )
    return Selection(picked)
