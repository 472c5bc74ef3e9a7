"""Filters over the machines: the choices come from the machines that the person may see."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import django_filters as filters
from django import forms
from django.db.models import CharField, Exists, OuterRef, QuerySet, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.http import QueryDict

from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.models import Instance, Target

SOON = timedelta(days=183)
REMARKS = (
    ("past", "Past end of life"),
    ("soon", "Ends within 6 months"),
    ("busy", "In an open change"),
    ("locked", "Locked"),
)
KINDS = {
    "account": "account__name",
    "region": "region",
    "os": "os_name",
    "os_type": "os_type",
    "status": "status",
    "environment": "environment",
    "service": "tags__service",
}


def values_of(instances: QuerySet[Instance], kinds: Iterable[str]) -> dict[str, list[str]]:
    """Return for each of `kinds` the values that occur, sorted (one query)."""
    parts = []
    for kind in kinds:
        field = KINDS[kind]
        value = Cast(KT(field) if kind == "service" else field, CharField())
        parts.append(instances.order_by().values_list(Value(kind), value).distinct())
    found: dict[str, list[str]] = defaultdict(list)
    for kind, value in parts[0].union(*parts[1:], all=True):
        if value:
            found[kind].append(value)
    return {kind: sorted(values) for kind, values in found.items()}


def judged(os_names: list[str], today: date) -> dict[str, str]:
    """Return which names mean a system that is `past` its end of life, or ends `soon`."""
    states = {}
    for name in os_names:
        ends = end_of_life(name)
        if ends is not None and ends < today + SOON:
            states[name] = "past" if ends < today else "soon"
    return states


class InstanceFilter(filters.FilterSet):  # type: ignore[misc]
    """What the list of machines can be narrowed by. Values that do not occur narrow it to nothing, and say so."""

    q = filters.CharFilter(method="search", label="Name, id, address or tag")
    region = filters.ChoiceFilter(label="Region", empty_label="Any region")
    os = filters.ChoiceFilter(label="System", empty_label="Any system", method="system")
    os_type = filters.ChoiceFilter(label="Kind of system", empty_label="Any kind")
    status = filters.ChoiceFilter(label="State", empty_label="Any state")
    environment = filters.ChoiceFilter(label="Environment", empty_label="Any environment")
    service = filters.ChoiceFilter(label="Service", empty_label="Any service", field_name="tags__service")
    account = filters.ChoiceFilter(label="Account", empty_label="Any account", field_name="account__name")
    remark = filters.ChoiceFilter(label="Remark", empty_label="Any remark", choices=REMARKS, method="remarked")
    image = filters.CharFilter(field_name="image_id", label="Image", widget=forms.HiddenInput)

    def __init__(
        self, data: QueryDict | None, *, instances: QuerySet[Instance], today: date, controls: bool, **kwargs: Any
    ) -> None:
        super().__init__(data, queryset=instances, **kwargs)
        # Without the controls only the names of systems are needed: what one chose is a choice in any case.
        self.values = values_of(instances, KINDS if controls else ["os"])
        self.data: QueryDict
        self.names: dict[str, list[str]] = defaultdict(list)
        for name in self.values.get("os", []):
            self.names[os_label(name)].append(name)
        self.ends = judged(self.values.get("os", []), today)
        for kind in KINDS:
            found = {*(self.names if kind == "os" else self.values.get(kind, []))}
            # What was chosen stays a choice when its last machine is gone: the list is then empty, not the whole fleet.
            found |= {self.data[kind]} if self.data.get(kind) else set()
            self.filters[kind].extra["choices"] = [(value, WORDS.get(value, value)) for value in sorted(found)]

    class Meta:
        model = Instance
        fields: list[str] = []

    @property
    def shown(self) -> list[Any]:
        """Return the controls beside the text: those that have something to choose, or something chosen."""
        controls = [name for name in self.filters if name not in ("q", "image")]
        return [self.form[name] for name in controls if len(self.values.get(name, REMARKS)) > 1 or self.data.get(name)]

    def filter_queryset(self, queryset: QuerySet[Instance]) -> QuerySet[Instance]:
        """Narrow by all that was asked; what cannot be understood narrows to nothing, and never widens."""
        return super().filter_queryset(queryset) if self.form.is_valid() else queryset.none()

    def search(self, rows: QuerySet[Instance], name: str, value: str) -> QuerySet[Instance]:
        """Narrow to the machines whose text holds every word."""
        for word in value.lower().split()[:8]:
            rows = rows.filter(search__contains=word)
        return rows

    def system(self, rows: QuerySet[Instance], name: str, value: str) -> QuerySet[Instance]:
        """Narrow to one system, under all names that the cloud has for it."""
        return rows.filter(os_name__in=self.names[value])

    def remarked(self, rows: QuerySet[Instance], name: str, value: str) -> QuerySet[Instance]:
        """Narrow to the machines of which the list remarks something."""
        if value == "locked":
            return rows.exclude(locks=[])
        if value == "busy":
            return rows.filter(Exists(Target.objects.filter(instance=OuterRef("pk"), open=True)))
        return rows.filter(os_name__in=[name for name, state in self.ends.items() if state == value])


WORDS = {"linux": "Linux", "windows": "Windows"}
