"""Named reads of the mirror for screens."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, QuerySet

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
