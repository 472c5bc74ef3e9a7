"""Named reads of the mirror for screens."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from operator import or_

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, BooleanField, Count, F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Lower

from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.models import Instance, RegionMirror


@dataclass(frozen=True, slots=True)
class SystemCount:
    """One operating system of the fleet: `os_names` are the names of it that machines carry, to filter by."""

    label: str
    machines: int
    end_of_life: date | None
    os_names: tuple[str, ...]

    def ended(self, today: date) -> bool:
        return self.end_of_life is not None and self.end_of_life < today


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the mirror is: `oldest` is the oldest region's last full sync, None while a region never had
    one.
    """

    oldest: datetime | None
    regions: list[RegionMirror]


def systems(instances: QuerySet[Instance] | None = None) -> list[SystemCount]:
    """Return the present machines by operating system, most machines first; of `instances` where given."""
    present = (Instance.objects.all() if instances is None else instances).filter(gone_at=None)
    names: dict[str, dict[str, int]] = defaultdict(dict)
    for os_name, machines in present.order_by().values_list("os_name").annotate(Count("pk")):
        names[os_label(os_name) or "Not known"][os_name] = machines
    counts = [
        SystemCount(label, sum(found.values()), end_of_life(label), tuple(sorted(found)))
        for label, found in names.items()
    ]
    return sorted(counts, key=lambda one: (-one.machines, one.label))


def freshness() -> Freshness:
    """Return how fresh the mirror is, region by region, the stalest first."""
    mirrors = list(RegionMirror.objects.select_related("account").order_by("account__name", "region"))
    times = [mirror.synced_at for mirror in mirrors]
    known = [time for time in times if time is not None]
    never = [mirror for mirror in mirrors if mirror.synced_at is None]
    synced = [mirror for mirror in mirrors if mirror.synced_at is not None]
    synced.sort(key=lambda mirror: mirror.synced_at or datetime.min)
    return Freshness(min(known) if known and not never else None, never + synced)


class OneOf(Func):
    """The condition `field = ANY(values)`: ten thousand values are one parameter, where `__in` would make as many."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = BooleanField()

    def __init__(self, field: str, values: Collection[int] | Collection[str]) -> None:
        item = BigIntegerField() if all(isinstance(value, int) for value in values) else TextField()
        super().__init__(F(field), Value(list(values), output_field=ArrayField(item)))


def by_name(instances: QuerySet[Instance], names: Collection[str]) -> dict[str, list[Instance]]:
    """Return for each of `names` (lower case) the machines with this id, name or address: one query.

    Machines that are there stand before those that are gone. An id is known even where it is another machine's name.
    """
    fields = ("lower_id", "lower_name", "private_ip", "public_ip")
    found = reduce(or_, (Q(OneOf(field, names)) for field in fields))
    rows = instances.annotate(lower_id=Lower("instance_id"), lower_name=Lower("name")).filter(found)
    fitting: dict[str, list[Instance]] = defaultdict(list)
    for row in rows.select_related("account").order_by(F("gone_at").asc(nulls_first=True), "name", "pk"):
        for name in {row.instance_id.lower(), row.name.lower(), row.private_ip, row.public_ip} - {""}:
            fitting[name].append(row)
    return {name: fitting[name] for name in names if name in fitting}
