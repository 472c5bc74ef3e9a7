"""Named reads of changes for the screens: each a constant number of queries, whatever the number of machines."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, DateTimeField, Func, Max, Min, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from fleet.changes.editions import EDITIONS
from fleet.changes.plan import wish_of
from fleet.changes.rules import resulting_size
from fleet.changes.warnings import ORDER, WORDS
from fleet.inventory.lifecycle import os_label
from fleet.lib.canonical import digest
from fleet.models import Change, ChangeState, Image, KeyPair, Replacement, Target
from fleet.models.replacements import ENDED

Place = tuple[int, str]  # account id and region

# Warnings that are worth knowing and stop nobody; all others mark their group.
TO_NOTE = frozenset({"login_changes", "password_unused", "same_image", "disk_grows", "data_disks", "stale_mirror"})

OPEN = (
    ChangeState.DRAFT,
    ChangeState.CHECKING,
    ChangeState.IN_REVIEW,
    ChangeState.APPROVED,
    ChangeState.RUNNING,
    ChangeState.PAUSED,
    ChangeState.TRIPPED,
)


def at_its_time(changes: QuerySet[Change], pk: int) -> tuple[Change, datetime] | None:
    """Return the change and the database's time in one query, or None where `changes` does not hold it."""
    clock = Func(function="clock_timestamp", output_field=DateTimeField())
    rows = changes.select_related("author", "secret", "started_by").annotate(clock=clock)
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


def places_of(change: Change) -> list[Place]:
    """Return the accounts and regions that the machines of a change are in."""
    rows = change.targets.order_by().values_list("instance__account_id", "instance__region").distinct()
    return sorted((account, region) for account, region in rows)


def key_pairs_of(places: Iterable[Place]) -> dict[str, list[str]]:
    """Return the names of the key pairs in these places, each with the regions that have it, in the order of names."""
    wanted = set(places)
    found: dict[str, list[str]] = {}
    rows = KeyPair.objects.present().filter(account__in={account for account, _ in wanted}).order_by("name", "region")
    for account, region, name in rows.values_list("account_id", "region", "name"):
        if (account, region) in wanted:
            found.setdefault(name, []).append(region)
    return found


@dataclass(slots=True)
class LeftOutGroup:
    """Machines that are left out for one reason."""

    reason: str
    code: str
    machines: int
    first: str


def left_out_of(change: Change) -> list[LeftOutGroup]:
    """Return who is left out and why, most machines first (one query)."""
    rows = (
        change.left_out.order_by()
        .values_list("reason", "code")
        .annotate(machines=Count("pk"), first=Min("instance__name"), last=Max("at"))
        .order_by("-machines", "reason")
    )
    return [LeftOutGroup(reason, code, machines, first) for reason, code, machines, first, _ in rows]


@dataclass(slots=True)
class Group:
    """Machines to which the same happens. `key` names it in a URL; sizes are GiB; `targets` are primary keys in order."""

    key: str
    was: str
    becomes: str
    size_was: int
    size: int
    category: str
    key_pair: str
    warnings: list[tuple[str, str, str]]
    targets: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    regions: Counter[str] = field(default_factory=Counter)

    @property
    def machines(self) -> int:
        return len(self.targets)

    @property
    def serious(self) -> bool:
        return any(code not in TO_NOTE for code, _, _ in self.warnings)

    @property
    def places(self) -> list[tuple[str, int]]:
        """The regions with their numbers of machines, most machines first (a Counter looks empty to a template)."""
        return self.regions.most_common()


@dataclass(frozen=True, slots=True)
class Grouped:
    """The machines of a change by what happens to each, warnings first and smallest first.

    `common` are the warnings that all groups share: they are said once, and not again in each group.
    """

    groups: list[Group]
    machines: int
    warned: int
    noted: int
    common: list[tuple[str, str, str]]
    new_systems: list[str]
    categories: list[str]
    sizes: list[int]
    carries: "Carries"

    @property
    def clear(self) -> int:
        return self.machines - self.warned - self.noted


@dataclass(slots=True)
class Carries:
    """What hangs on the old disks and the old systems: how many machines have it."""

    snapshot_policy: int = 0
    disk_tags: int = 0
    key_pair: int = 0
    running: int = 0
    stopped: int = 0
    windows: int = 0
    linux: int = 0


def grouped(change: Change) -> Grouped:
    """Gather the machines of a change by identical before, after and warnings: two queries."""
    rows = list(
        change.targets.order_by("position").select_related("instance", "instance__account").only(
            "seen", "findings", "position", "change_id",
            "instance__name", "instance__instance_id", "instance__region", "instance__os_name", "instance__os_type",
            "instance__image_id", "instance__disk_size", "instance__disk_category", "instance__key_pair",
            "instance__status", "instance__account__edition",
        )
    )  # fmt: skip
    images = _images(change, rows)
    wish = wish_of(change)
    groups: dict[str, Group] = {}
    carries = Carries()
    for row in rows:
        instance, seen = row.instance, row.seen
        place = (instance.account_id, instance.region)
        image = images.get((*place, change.image_id))
        size_was = seen.get("size") or instance.disk_size
        instance.disk_size = size_was
        size = (
            resulting_size(wish, instance, image, EDITIONS[instance.account.edition])
            if image
            else wish.size or size_was
        )
        was = _label_before(row, images.get((*place, seen.get("image_id", ""))))
        becomes = os_label(image.os_name) if image else change.image_id
        codes = sorted((code for code, severity, _ in row.findings if severity == "warn"), key=_place_of)
        parts = [was, becomes, size_was, size, seen.get("category", ""), seen.get("key_pair", ""), codes]
        key = digest(parts)[:10]
        group = groups.get(key)
        if group is None:
            category = seen.get("category") or instance.disk_category
            warnings = [(code, *WORDS.get(code, (code, ""))) for code in codes]
            group = groups[key] = Group(
                key, was, becomes, size_was, size, category, seen.get("key_pair", instance.key_pair), warnings
            )
        group.targets.append(row.pk)
        group.names.append(str(instance))
        group.regions[instance.region] += 1
        _count(carries, row, windows=bool(image and image.os_type == "windows"))
    warned = sum(group.machines for group in groups.values() if group.serious)
    noted = sum(group.machines for group in groups.values() if group.warnings and not group.serious)
    common = _common_warnings(list(groups.values()))
    for group in groups.values():
        group.warnings = [warning for warning in group.warnings if warning not in common]
    ordered = sorted(groups.values(), key=lambda g: (not g.serious, not g.warnings, g.machines, g.key))
    return Grouped(
        groups=ordered,
        machines=len(rows),
        warned=warned,
        noted=noted,
        common=common,
        new_systems=sorted({group.becomes for group in ordered}),
        categories=sorted({group.category for group in ordered}),
        sizes=sorted({group.size for group in ordered}),
        carries=carries,
    )


def _common_warnings(groups: list[Group]) -> list[tuple[str, str, str]]:
    if len(groups) < 2:
        return []
    return [warning for warning in groups[0].warnings if all(warning in group.warnings for group in groups)]


def _place_of(code: str) -> int:
    return ORDER.get(code, len(ORDER))


def _images(change: Change, rows: list[Target]) -> dict[tuple[int, str, str], Image]:
    wanted = {row.seen.get("image_id", "") for row in rows} | {change.image_id}
    accounts = {row.instance.account_id for row in rows}
    found = Image.objects.filter(image_id__in=wanted - {""}, account__in=accounts)
    return {(image.account_id, image.region, image.image_id): image for image in found}


def _label_before(row: Target, image: Image | None) -> str:
    """Return the system that the check saw: the mirror shows the machine as it is now, which may be after the change."""
    instance = row.instance
    if image is not None:
        return os_label(image.os_name)
    if row.seen.get("image_id", instance.image_id) == instance.image_id:
        return os_label(instance.os_name) or "Not known"
    return str(row.seen["image_id"])


def _count(carries: Carries, row: Target, *, windows: bool) -> None:
    seen = row.seen
    carries.snapshot_policy += bool(seen.get("snapshot_policy"))
    carries.disk_tags += bool(seen.get("disk_tags"))
    carries.key_pair += bool(seen.get("key_pair", row.instance.key_pair))
    running = seen.get("status", row.instance.status) == "Running"
    carries.running += running
    carries.stopped += not running
    carries.windows += windows
    carries.linux += not windows
