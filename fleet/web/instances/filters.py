"""Filters over the machines: the choices come from the machines that the person may see."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import django_filters as filters
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import CharField, Exists, F, Func, OuterRef, Q, QuerySet
from django.db.models.functions import Cast
from django.http import QueryDict
from django.utils.http import urlencode

from fleet.inventory.lifecycle import os_label, support_state
from fleet.models import Instance, MachineLock, Target

MOST_TAGS = 8
SUPPORT = (("past", "Past end of life"), ("soon", "Ends within 6 months"), ("safe", "Supported for longer"))
LOCKED = (("yes", "Locked"), ("no", "Not locked"))
BUSY = (("yes", "In an open change"), ("no", "In no open change"))
KINDS = {
    "account": "account__name",
    "region": "region",
    "zone": "zone",
    "os": "os_name",
    "os_type": "os_type",
    "status": "status",
    "environment": "environment",
    "type": "instance_type",
}
# What is asked for most; the others are behind *More filters*.
FIRST = ("region", "os", "status", "environment", "account", "support")
WORDS = {"linux": "Linux", "windows": "Windows"}
OFFERED_TAGS = 200
SAMPLED = 2000


class Pairs(Func):
    """The tags of a machine as `key=value`, each in a row of its own."""

    template = "jsonb_object_keys(%(expressions)s) || '=' || (%(expressions)s ->> jsonb_object_keys(%(expressions)s))"
    output_field = CharField()
    set_returning = True


def values_of(instances: QuerySet[Instance], kinds: Iterable[str]) -> dict[str, list[str]]:
    """Return for each of `kinds` the values that occur, sorted; for `tag` those of a sample of the machines.

    One query that goes through the machines once, however many kinds there are, and one more for tags.
    """
    kinds = list(kinds)
    plain = [kind for kind in kinds if kind != "tag"]
    columns = {f"the_{kind}": Cast(F(KINDS[kind]), CharField()) for kind in plain}
    try:
        inner, parameters = instances.order_by().annotate(**columns).values_list(*columns).query.sql_with_params()
    except EmptyResultSet:
        return {}  # somebody who may see no machine at all
    names = ", ".join(columns)
    sets = ", ".join(f"({name})" for name in columns)
    found: dict[str, list[str]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {names}, grouping({names}) FROM ({inner}) AS x ({names}) GROUP BY GROUPING SETS ({sets})",
            parameters,
        )
        for *values, mask in cursor.fetchall():
            # The one column that this row is grouped by has its bit 0; the last column has the lowest bit.
            place = next(at for at in range(len(plain)) if not mask >> (len(plain) - 1 - at) & 1)
            if values[place]:
                found[plain[place]].append(values[place])
    if "tag" in kinds:
        some = instances.filter(pk__in=instances.order_by("name", "pk")[:SAMPLED].values("pk"))
        found["tag"] = list(some.order_by().values_list(Pairs("tags"), flat=True).distinct())
    return {kind: sorted(values) for kind, values in found.items()}


class InstanceFilter(filters.FilterSet):  # type: ignore[misc]
    """What the list of machines can be narrowed by. A value that does not occur leaves no machine."""

    q = filters.CharFilter(method="search", label="Name, id, address or tag")
    region = filters.ChoiceFilter(label="Region", empty_label="Any region")
    os = filters.ChoiceFilter(label="System", empty_label="Any system", method="system")
    status = filters.ChoiceFilter(label="State", empty_label="Any state")
    environment = filters.ChoiceFilter(label="Environment", empty_label="Any environment")
    account = filters.ChoiceFilter(label="Account", empty_label="Any account", field_name="account__name")
    support = filters.ChoiceFilter(label="Support", empty_label="Any support", choices=SUPPORT, method="supported")
    zone = filters.ChoiceFilter(label="Zone", empty_label="Any zone")
    type = filters.ChoiceFilter(label="Type", empty_label="Any type", field_name="instance_type")
    os_type = filters.ChoiceFilter(label="Kind of system", empty_label="Any kind")
    locked = filters.ChoiceFilter(label="Locks", empty_label="Locked or not", choices=LOCKED, method="has_lock")
    busy = filters.ChoiceFilter(label="Changes", empty_label="In a change or not", choices=BUSY, method="in_change")
    image = filters.CharFilter(field_name="image_id", label="Image")

    def __init__(
        self, data: QueryDict | None, *, instances: QuerySet[Instance], now: datetime, controls: bool, **kwargs: Any
    ) -> None:
        super().__init__(data, queryset=instances, **kwargs)
        self.now = now
        # Without the controls only the names of systems are needed: what a person has chosen is a choice in any case.
        self.values = values_of(instances, [*KINDS, "tag"] if controls else ["os"])
        self.data: QueryDict
        self.tags = tags_of(self.data)
        self.names: dict[str, list[str]] = defaultdict(list)
        for name in self.values.get("os", []):
            self.names[os_label(name)].append(name)
        today = now.date()
        self.support = {name: support_state(name, today) or "safe" for name in self.values.get("os", [])}
        for kind in KINDS:
            values = {*(self.names if kind == "os" else self.values.get(kind, []))}
            # What was chosen stays a choice when its last machine is gone: the list is then empty, not the whole fleet.
            values |= {self.data[kind]} if self.data.get(kind) else set()
            self.filters[kind].extra["choices"] = [(value, WORDS.get(value, value)) for value in sorted(values)]

    class Meta:
        model = Instance
        fields: list[str] = []

    @property
    def first(self) -> list[Any]:
        """Return the controls beside the text: those that have something to choose, or something chosen."""
        return [self.form[name] for name in FIRST if self._is_shown(name)]

    @property
    def more(self) -> list[Any]:
        """Return the controls that are folded away."""
        names = [name for name in self.filters if name not in (*FIRST, "q", "image")]
        return [self.form[name] for name in names if self._is_shown(name)]

    @property
    def more_asked(self) -> bool:
        """Say whether something folded away is asked for."""
        return bool(self.tags) or any(self.data.get(name) for name in self.filters if name not in (*FIRST, "q"))

    @property
    def offered(self) -> list[str]:
        """Return tags to choose from; others can be typed."""
        return self.values.get("tag", [])[:OFFERED_TAGS]

    @property
    def query(self) -> str:
        """Return what is asked for as a query string, always in one order: the same filter is the same text."""
        return query_of(self.data)

    def _is_shown(self, name: str) -> bool:
        return name not in KINDS or len(self.values.get(name, ())) > 1 or bool(self.data.get(name))

    def filter_queryset(self, queryset: QuerySet[Instance]) -> QuerySet[Instance]:
        """Narrow by everything that was asked for; what cannot be understood leaves no machine, never more machines."""
        typed = [*self.tags, *(self.data.get(name, "") for name in self.filters)]
        if not self.form.is_valid() or len(self.tags) > MOST_TAGS or any("\0" in text for text in typed):
            return queryset.none()
        rows: QuerySet[Instance] = super().filter_queryset(queryset)
        for tag in self.tags:
            key, equals, value = tag.partition("=")
            rows = rows.filter(tags__contains={key: value}) if equals else rows.filter(tags__has_key=key)
        return rows

    def search(self, rows: QuerySet[Instance], name: str, value: str) -> QuerySet[Instance]:
        """Narrow to the machines whose text holds every word."""
        for word in value.lower().split()[:8]:
            rows = rows.filter(search__contains=word)
        return rows

    def system(self, rows: QuerySet[Instance], name: str, value: str) -> QuerySet[Instance]:
        """Narrow to one system, under all names that the cloud has for it."""
        return rows.filter(os_name__in=self.names[value])

    def supported(self, rows: QuerySet[Instance], name: str, value: str) -> QuerySet[Instance]:
        """Narrow by how long the system still gets security updates."""
        return rows.filter(os_name__in=[name for name, state in self.support.items() if state == value])

    def has_lock(self, rows: QuerySet[Instance], name: str, value: str) -> QuerySet[Instance]:
        """Narrow to the machines that the cloud or a person has locked, or to the others."""
        lock = MachineLock.objects.in_force(self.now).filter(instance=OuterRef("pk"))
        condition = ~Q(locks=[]) | Q(Exists(lock))
        return rows.filter(condition if value == "yes" else ~condition)

    def in_change(self, rows: QuerySet[Instance], name: str, value: str) -> QuerySet[Instance]:
        """Narrow to the machines in an open change, or to the others."""
        busy = Exists(Target.objects.filter(instance=OuterRef("pk"), open=True))
        return rows.filter(busy if value == "yes" else ~busy)


def tags_of(data: QueryDict) -> list[str]:
    """Return the tags asked for, each once, as `key` or `key=value`."""
    return list(dict.fromkeys(tag.strip() for tag in data.getlist("tag") if tag.strip()))


def query_of(data: QueryDict) -> str:
    """Return what a form or an address asks for as a query string, always in one order, and nothing else of it."""
    asked = [(name, str(data[name])) for name in InstanceFilter.base_filters if data.get(name)]
    return urlencode([*asked, *(("tag", tag) for tag in tags_of(data))])
