"""The ticked machines of one browser tab: what a request says of them, and what the page shows of them."""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import DateTimeField, Func, IntegerField, OuterRef, Q, Subquery
from django.db.models.functions import JSONObject
from django.http import QueryDict

from fleet.changes.drafting.selection import SelectionRequest, digest_of_set
from fleet.lib.refused import Refused
from fleet.models import Instance, SavedView, Selection, User
from fleet.web.shared.numbers import ids_of

NONE = uuid.UUID(int=0)
MOST_SHOWN = 1000  # machines of one page


@dataclass(frozen=True)
class Desk:
    """What a person works with, read in one query: the saved views, and the selection of this browser tab.

    `picked` are the primary keys of the selected machines, `omitted` how many pasted lines fit none; `now` is the database's
    time.
    """

    now: datetime
    id: uuid.UUID
    picked: frozenset[int]
    omitted: int
    views: list[dict[str, Any]]


def desk_of(user: User, asked: str | None) -> Desk:
    """Read views and selection; an unknown selection, or somebody else's, becomes a new and empty one."""
    named = uuid_of(asked)
    views = SavedView.objects.filter(Q(owner=OuterRef("pk")) | Q(shared=True)).order_by("name", "pk")
    parts = {"pk": "pk", "name": "name", "query": "query", "shared": "shared", "owner": "owner__username"}
    selection = Selection.objects.filter(pk=named or NONE)
    rows = User.objects.filter(pk=user.pk).annotate(
        clock=Func(function="clock_timestamp", output_field=DateTimeField()),
        usable_views=ArraySubquery(views.values(json=JSONObject(**parts))),
        holder=Subquery(selection.values("owner")),
        picked=Subquery(selection.values("instances")),
        omitted=Subquery(
            selection.values(n=Func("misses", function="jsonb_array_length", output_field=IntegerField()))
        ),
    )
    columns = ("clock", "usable_views", "holder", "picked", "omitted")
    clock, usable_views, holder, picked, omitted = rows.values_list(*columns).get()
    if named is None or holder not in (None, user.pk):
        return Desk(clock, uuid.uuid4(), frozenset(), 0, usable_views)
    return Desk(clock, named, frozenset(picked or ()), omitted or 0, usable_views)


def asked_of(data: QueryDict, *, add: Collection[int] = ()) -> SelectionRequest:
    """Read from a form which machines its page showed, which of them are ticked, and whether all are to be cleared."""
    shown = data.get("shown", "").split(",")[:MOST_SHOWN]
    ticked = data.getlist("instance")[:MOST_SHOWN]
    return SelectionRequest(
        frozenset(ids_of(shown)), frozenset(ids_of(ticked)), frozenset(add), clear=data.get("act") == "clear"
    )


def uuid_of(asked: str | None) -> uuid.UUID | None:
    """Return the name of a selection as a UUID, None where it is none."""
    try:
        return uuid.UUID(asked) if asked else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Ticks:
    """The selection as the page shows it, with how many pasted lines fit no machine (`omitted`).

    `refused` is why the act could not be done, `notice` what else the person is to read.
    """

    id: uuid.UUID
    picked: frozenset[int]
    omitted: int = 0
    refused: Refused | None = None
    notice: str = ""

    def here(self, rows: Iterable[Instance]) -> frozenset[int]:
        """Return the selected machines that are on the page."""
        return self.picked & {row.pk for row in rows}

    def elsewhere(self, rows: Iterable[Instance]) -> int:
        """Return how many selected machines are on other pages."""
        return len(self.picked - {row.pk for row in rows})

    def rest(self, rows: Iterable[Instance]) -> str:
        """Return the digest of those on other pages; the page sends it back, so that a change in another tab is noticed."""
        return digest_of_set(self.picked - {row.pk for row in rows})
