"""What the screens read of changes, by name: each in a constant number of queries, whatever the number of machines."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, DateTimeField, Func, Min, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf

from fleet.models import Change, LeftOut, Replacement, Target
from fleet.models.replacements import ENDED


def at_its_time(changes: QuerySet[Change], pk: int) -> tuple[Change, datetime] | None:
    """Return the change and the database's time in one query, or None where `changes` does not hold it."""
    clock = Func(function="clock_timestamp", output_field=DateTimeField())
    rows = changes.select_related("author", "secret", "started_by", "scheduled_by").annotate(clock=clock)
    change = rows.filter(pk=pk).first()
    return (change, change.clock) if change else None


def listing(changes: QuerySet[Change]) -> QuerySet[Change]:
    """Add to each change how many machines it has (`machines`) and how many of them have ended (`ended`)."""
    return changes.select_related("author").annotate(
        machines=_number_of(Target.objects.all()),
        ended=_number_of(Replacement.objects.filter(state__in=ENDED)),
    )


def _number_of(rows: "QuerySet[Any]") -> Coalesce:
    counted = rows.filter(change=OuterRef("pk")).order_by().values("change").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted), 0)


@dataclass(slots=True)
class LeftOutGroup:
    """Machines that are left out for one reason; `first` is what one of them is called."""

    reason: str
    code: str
    machines: int
    first: str


def left_out_of(change: Change) -> list[LeftOutGroup]:
    """Return who is left out and why, most machines first (one query)."""
    rows = left_out_rows(change.left_out.all())
    return [LeftOutGroup(row["reason"], row["code"], row["machines"], row["first"]) for row in rows]


def left_out_rows(left_out: QuerySet[LeftOut]) -> QuerySet[Any, Any]:
    """Gather what is left out by its reason, as the fields of a LeftOutGroup, most machines first.

    A machine without a name is told by its id, and what is no machine by what was typed.
    """
    first = Coalesce(Min(NullIf("instance__name", Value(""))), Min("instance__instance_id"), Min("named"))
    rows = left_out.order_by().values("reason", "code").annotate(machines=Count("pk"), first=first)
    return rows.order_by("-machines", "reason")
