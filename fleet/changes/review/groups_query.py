"""The machines of a change as the database gathers them: those that look the same in all that a review tells apart."""

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

NAMED = 3  # names of machines that are carried along
UNKNOWN_SYSTEM = "The former system"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Machines of one place that look the same to the database."""

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
    """The first few of an array aggregate: the rest never leaves the database."""

    template = f"(%(function)s(%(distinct)s%(expressions)s %(order_by)s))[1:{NAMED}]"


def with_parts(change: Change) -> "QuerySet[Any]":
    """Return the change's targets with `parts`, all that decides to which group a machine belongs, in the order of Lump."""
    of_snapshot = Snapshot.objects.filter(account=OuterRef("instance__account"), snapshot_id=OuterRef("snapshot_id"))
    # Asked of the machine and not of the change: nothing is put back that a review does not show. A snapshot that says nothing
    # of its system, or is not known, still shows as one.
    put_back = (
        Case(
            When(snapshot_id="", then=Value("")),
            default=_text(NullIf(Subquery(of_snapshot.values(name)[:1]), Value("")), Value(unknown)),
            output_field=TextField(),
        )
        for name, unknown in (("os_name", UNKNOWN_SYSTEM), ("os_type", ""))
    )
    image_was = _text(KT("seen__image_id"), "instance__image_id")
    return change.targets.annotate(
        name=Coalesce(NullIf("instance__name", Value("")), "instance__instance_id"),
        parts=JSONArray(
            "instance__account_id",
            "instance__account__edition",
            "instance__account__name",
            "instance__account__executes",
            "instance__account__replace_quota",
            "instance__region",
            "instance__environment",
            "open",
            image_was,
            # The mirror shows the machine as it is now, which may be after the change: then its system says nothing.
            _if(Exact(image_was, F("instance__image_id")), F("instance__os_name"), ""),
            Coalesce(Cast(KT("seen__size"), IntegerField()), "instance__disk_size", output_field=IntegerField()),
            _text(NullIf(KT("seen__category"), Value("")), "instance__disk_category"),
            _text(KT("seen__key_pair"), "instance__key_pair"),
            _if(Exact(_text(KT("seen__status"), "instance__status"), "Running"), True, False),
            _if(GreaterThan(_text(KT("seen__snapshot_policy")), ""), True, False),
            _if(Q(seen__has_key="disk_tags") & ~Q(seen__disk_tags={}), True, False),
            *put_back,
            Func(
                "findings",
                function="jsonb_path_query_array",
                template="""%(function)s(%(expressions)s, 'strict $[*] ? (@[1] == "warn")[0]')""",
                output_field=JSONField(),
            ),
        ),
    )


def _text(*expressions: Any) -> Coalesce:
    """Return the first of these that is known, else an empty text."""
    return Coalesce(*expressions, Value(""), output_field=TextField())


def _if(condition: Any, then: Any, otherwise: Any) -> Case:
    return Case(When(condition, then=then), default=Value(otherwise))
