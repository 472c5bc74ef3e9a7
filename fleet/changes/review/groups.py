"""The machines of a change, grouped by what happens to them, in the database: ten thousand cost no more than ten."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import Count, Min, QuerySet

from fleet.changes.judging.editions import EDITIONS
from fleet.changes.judging.machine import disk_request_of
from fleet.changes.judging.refusals import resulting_size
from fleet.changes.judging.warnings import ORDER, WORDS
from fleet.changes.review.groups_query import NAMED, First, GroupRow, row_of, with_parts
from fleet.guards.places import Place
from fleet.inventory.lifecycle import os_label
from fleet.lib.canonical import digest
from fleet.models import Change, Image, Instance, Target

# Lighter warnings: a group with any other warning must be marked as seen before it is approved.
TO_NOTE = frozenset({"login_changes", "password_unused", "same_image", "disk_grows", "data_disks", "stale_mirror"})

Warned = tuple[str, str, str]  # code, sentence, what to do


@dataclass(slots=True)
class Group:
    """Machines to which the same happens. `key` names it in a URL; sizes are in GiB; `parts` find its machines again.

    `warnings` are the grave ones, which all of its machines have; `noted` counts the machines with each lighter one. What stays
    as it is on a machine (the category of its disk, say) makes no group, nor does a lighter warning or a present disk of
    another size: each would split the machines without telling a reviewer more.
    """

    key: str
    was: str
    becomes: str
    size: int
    warnings: list[Warned]
    machines: int = 0
    noted: Counter[str] = field(default_factory=Counter)
    notes: list[tuple[str, int]] = field(default_factory=list)  # sentence and machines, less what all machines share
    names: list[str] = field(default_factory=list)
    sizes_was: set[int] = field(default_factory=set)
    key_pairs: set[str] = field(default_factory=set)
    regions: Counter[str] = field(default_factory=Counter)
    parts: list[list[Any]] = field(default_factory=list)

    @property
    def serious(self) -> bool:
        return bool(self.warnings)

    @property
    def rank(self) -> int:
        """The place of its gravest warning, worst first; behind all of them without one."""
        return min((ORDER.get(code, len(ORDER)) for code, _, _ in self.warnings), default=len(ORDER) + 1)

    @property
    def heading(self) -> str:
        """What makes this group special: its gravest warning, else its before and after."""
        return self.warnings[0][1] if self.serious else f"{self.was} becomes {self.becomes}"

    @property
    def size_words(self) -> str:
        """`40 → 60 GiB`, `20–80 → 80 GiB`, or `60 GiB, stays`."""
        least, most = min(self.sizes_was), max(self.sizes_was)
        if least == most == self.size:
            return f"{self.size:,} GiB, stays"
        return f"{least:,}{f'–{most:,}' if most > least else ''} → {self.size:,} GiB"

    @property
    def places(self) -> list[tuple[str, int]]:
        """The regions with their numbers of machines, most machines first (a Counter looks empty to a template)."""
        return self.regions.most_common()


@dataclass(slots=True)
class Carries:
    """How many machines have what goes with the old disk or the old system."""

    snapshot_policy: int = 0
    disk_tags: int = 0
    key_pair: int = 0
    running: int = 0
    stopped: int = 0
    windows: int = 0
    linux: int = 0


@dataclass(frozen=True, slots=True)
class Grouped:
    """The groups of a change, the gravest warning first; of those with the same warning the smallest first.

    `warned` counts machines with grave warnings, `noted` those with lighter ones alone. `common` are the lighter warnings that
    all machines share: they are shown once, and not in each group.
    """

    groups: list[Group]
    machines: int
    warned: int
    noted: int
    common: list[Warned]
    new_systems: list[str]
    categories: list[str]
    sizes: list[int]
    carries: Carries
    places: list[Place]

    @property
    def clear(self) -> int:
        return self.machines - self.warned - self.noted

    @property
    def warning_groups(self) -> list[Group]:
        """The groups that a reviewer marks as seen before approving."""
        return [group for group in self.groups if group.serious]


def grouped(change: Change) -> Grouped:
    """Gather the machines of a change by identical before, after and warnings: two queries, whatever their number."""
    counted = list(
        with_parts(change)
        .order_by()
        .values("parts")
        .annotate(n=Count("pk"), first=Min("position"), names=First("name", order_by="position"))
        .order_by("first")
    )
    images = _images(change, [row_of(alike["parts"]) for alike in counted])
    groups: dict[str, Group] = {}
    places: Counter[Place] = Counter()
    carries, categories = Carries(), set[str]()
    noted = 0
    for alike in counted:
        row, number = row_of(alike["parts"]), alike["n"]
        image = images.get((row.account, row.region, placed_image(change, row.account, row.region)))
        group = _group_of(change, row, image, images.get((row.account, row.region, row.image_was)))
        group = groups.setdefault(group.key, group)
        group.machines += number
        group.names += alike["names"][: NAMED - len(group.names)]
        group.regions[row.region] += number
        group.noted.update({code: number for code in row.codes if code in TO_NOTE})
        noted += number * bool(row.codes and not group.serious)
        group.sizes_was.add(row.size_was)
        group.key_pairs |= {row.key_pair} - {""}
        categories.add(row.category)
        group.parts.append(alike["parts"])
        place = Place(
            account=row.account,
            region=row.region,
            environment=row.environment,
            account_name=row.account_name,
            executes=row.executes,
            quota=row.quota,
        )
        places[place] += number * row.open
        windows = row.put_back_type == "windows" if row.put_back_type else bool(image and image.os_type == "windows")
        _count(carries, row, number, windows=windows)
    ordered = sorted(groups.values(), key=lambda group: (group.rank, group.machines, group.key))
    machines = sum(group.machines for group in ordered)
    in_all = sum((group.noted for group in ordered), Counter[str]())
    common = _words([code for code, number in in_all.items() if number == machines]) if len(ordered) > 1 else []
    said_once = {code for code, _, _ in common}
    for group in ordered:
        group.notes = [(why, group.noted[code]) for code, why, _ in _words(group.noted) if code not in said_once]
    return Grouped(
        groups=ordered,
        machines=machines,
        warned=sum(group.machines for group in ordered if group.serious),
        noted=noted,
        common=common,
        new_systems=sorted({group.becomes for group in ordered}),
        categories=sorted(categories),
        sizes=sorted({group.size for group in ordered}),
        carries=carries,
        places=[replace(place, machines=number) for place, number in places.items()],
    )


def machines_of(change: Change, group: Group) -> QuerySet[Target]:
    """Return the machines of a group, in order."""
    return with_parts(change).filter(parts__in=group.parts).order_by("position")


def placed_image(change: Change, account: int, region: str) -> str:
    """Return the id of the image that machines of this place get."""
    image, *_ = change.images.get(f"{account}/{region}") or [change.image_id]
    return str(image)


def _images(change: Change, rows: Sequence[GroupRow]) -> dict[tuple[int, str, str], Image]:
    wanted = {row.image_was for row in rows}
    wanted |= {placed_image(change, row.account, row.region) for row in rows}
    found = Image.objects.filter(image_id__in=wanted - {""}, account__in={row.account for row in rows})
    return {(image.account_id, image.region, image.image_id): image for image in found}


def _group_of(change: Change, row: GroupRow, image: Image | None, before: Image | None) -> Group:
    """Return the group that a row belongs to, still without machines."""
    if before is not None:
        was = os_label(before.os_name)
    else:
        was = os_label(row.system) or ("Not known" if row.system else row.image_was or "Not known")
    if row.put_back:
        becomes, size = f"{os_label(row.put_back)}, as it was", row.size_was
    elif image is not None:
        machine, edition = Instance(disk_size=row.size_was), EDITIONS[row.edition]
        becomes, size = os_label(image.os_name), resulting_size(disk_request_of(change), machine, image, edition)
    else:
        becomes, size = change.image_id, change.disk_size or row.size_was
    warnings = _words([code for code in row.codes if code not in TO_NOTE])
    return Group(
        key=digest([was, becomes, size, [code for code, _, _ in warnings]])[:10],
        was=was,
        becomes=becomes,
        size=size,
        warnings=warnings,
    )


def _words(codes: Iterable[str]) -> list[Warned]:
    """Return these warnings with their sentences, worst first."""
    ordered = sorted(codes, key=lambda code: ORDER.get(code, len(ORDER)))
    return [(code, *WORDS.get(code, (code, ""))) for code in ordered]


def _count(carries: Carries, row: GroupRow, number: int, *, windows: bool) -> None:
    carries.snapshot_policy += number * row.snapshot_policy
    carries.disk_tags += number * row.disk_tags
    carries.key_pair += number * bool(row.key_pair)
    carries.running += number * row.running
    carries.stopped += number * (not row.running)
    carries.windows += number * windows
    carries.linux += number * (not windows)
