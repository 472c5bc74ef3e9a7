"""Queries of the mirror that several rooms need."""

from collections import defaultdict
from collections.abc import Collection
from functools import reduce
from operator import or_

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, BooleanField, F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Lower

from fleet.models import Instance


class OneOf(Func):
    """The condition `field = ANY(values)`: all values are one parameter, where `__in` would make ten thousand of ten thousand."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = BooleanField()

    def __init__(self, field: str, values: Collection[int] | Collection[str]) -> None:
        item = BigIntegerField() if all(isinstance(value, int) for value in values) else TextField()
        super().__init__(F(field), Value(list(values), output_field=ArrayField(item)))


def by_name(instances: QuerySet[Instance], names: Collection[str]) -> dict[str, list[Instance]]:
    """Return for each of `names` (in lower case) the machines with this id, name or address: one query.

    Machines that exist come before those that are gone. A machine is found by its id even where another one has it as a name.
    """
    fields = ("lower_id", "lower_name", "private_ip", "public_ip")
    found = reduce(or_, (Q(OneOf(field, names)) for field in fields))
    rows = instances.annotate(lower_id=Lower("instance_id"), lower_name=Lower("name")).filter(found)
    fitting: dict[str, list[Instance]] = defaultdict(list)
    for row in rows.select_related("account").order_by(F("gone_at").asc(nulls_first=True), "name", "pk"):
        for name in {row.instance_id.lower(), row.name.lower(), row.private_ip, row.public_ip} - {""}:
            fitting[name].append(row)
    return {name: fitting[name] for name in names if name in fitting}
