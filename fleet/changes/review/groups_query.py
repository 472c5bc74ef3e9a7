"""The query behind the groups of a review: machines that look the same in all that a review tells apart, and how many."""

from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import (
    Case,
    F,
    Func,
    IntegerField,
    JSONField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, JSONArray, NullIf
from django.db.models.lookups import Exact, GreaterThan

from fleet.models import Change, Snapshot

NAMED = 3  # machines of each row whose names are read along
UNKNOWN_SYSTEM = "The former system"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Machines of one region that look the same in everything that decides to which group they belong. Sizes are in GiB.

    `image_was`, `size_was`, `category`, `key_pair` and `running` are as the check of the change saw them. `put_back` is the
    system in the snapshot that is put back, empty where an image is installed. `codes` are the codes of the warnings.
    """

    account: int
    edition: str
    account_name: str
    executes: bool
    quota: int
    region: str
    environment: str
    open: bool
    image_was: str
    system: str
    size_was: int
    category: str
    key_pair: str
    running: bool
    snapshot_policy: bool
    disk_tags: bool
    put_back: str
    put_back_type: str
    codes: list[str]


class First(ArrayAgg):
    """An array of the first few values of a group: the others never leave the database."""

    template = f"(%(function)s(%(distinct)s%(expressions)s %(order_by)s))[1:{NAMED}]"


def _of_snapshot(column: str, unknown: str) -> Case:
    """Return what the snapshot that is put back says of its system, and an empty text where nothing is put back.

    It is asked of the machine and not of the change, so that nothing is put back that a review does not show: `unknown` stands
    for a snapshot that is not known or says nothing of its system.
    """
    snapshot = Snapshot.objects.filter(account=OuterRef("instance__account"), snapshot_id=OuterRef("snapshot_id"))
    return Case(
        When(snapshot_id="", then=Value("")),
        default=_text(NullIf(Subquery(snapshot.values(column)[:1]), Value("")), Value(unknown)),
        output_field=TextField(),
    )


def _text(*expressions: Any) -> Coalesce:
    """Return the first of these values that is known, else an empty text."""
    return Coalesce(*expressions, Value(""), output_field=TextField())


def _if(condition: Any, then: Any, otherwise: Any) -> Case:
    return Case(When(condition, then=then), default=Value(otherwise))


_IMAGE_WAS = _text(KT("seen__image_id"), "instance__image_id")
# By the fields of GroupRow: all that decides to which row a target belongs.
_PARTS: dict[str, Any] = {
    "account": "instance__account_id",
    "edition": "instance__account__edition",
    "account_name": "instance__account__name",
    "executes": "instance__account__executes",
    "quota": "instance__account__replace_quota",
    "region": "instance__region",
    "environment": "instance__environment",
    "open": "open",
    "image_was": _IMAGE_WAS,
    # The mirror shows the machine as it is now, which may be after the change: then its system says nothing.
    "system": _if(Exact(_IMAGE_WAS, F("instance__image_id")), F("instance__os_name"), ""),
    "size_was": Coalesce(Cast(KT("seen__size"), IntegerField()), "instance__disk_size", output_field=IntegerField()),
    "category": _text(NullIf(KT("seen__category"), Value("")), "instance__disk_category"),
    "key_pair": _text(KT("seen__key_pair"), "instance__key_pair"),
    "running": _if(Exact(_text(KT("seen__status"), "instance__status"), "Running"), True, False),
    "snapshot_policy": _if(GreaterThan(_text(KT("seen__snapshot_policy")), ""), True, False),
    "disk_tags": _if(Q(seen__has_key="disk_tags") & ~Q(seen__disk_tags={}), True, False),
    "put_back": _of_snapshot("os_name", UNKNOWN_SYSTEM),
    "put_back_type": _of_snapshot("os_type", ""),
    "codes": Func(
        "findings",
        function="jsonb_path_query_array",
        template="""%(function)s(%(expressions)s, 'strict $[*] ? (@[1] == "warn")[0]')""",
        output_field=JSONField(),
    ),
}


def with_parts(change: Change) -> "QuerySet[Any]":
    """Return the targets of the change with `parts`, which `row_of` reads: targets with equal parts are of one row.

    `name` is the name of the machine, or its instance id. The parts are an array, since PostgreSQL takes nearly twice as long
    to group by objects.
    """
    return change.targets.annotate(
        name=Coalesce(NullIf("instance__name", Value("")), "instance__instance_id"),
        parts=JSONArray(*_PARTS.values()),
    )


def row_of(parts: list[Any]) -> GroupRow:
    """Return the row that these parts make: each value is given to the field under whose name it was asked for."""
    return GroupRow(**dict(zip(_PARTS, parts, strict=True)))
