"""The image picker of a draft: the images in the machines' regions, the most useful first."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from django.contrib.postgres.fields import ArrayField
from django.db.models import Case, Func, TextField, Value, When

from fleet.changes.judging.images import USABLE, AccountRegion, match_images
from fleet.changes.judging.judgement import AlikeMachines
from fleet.changes.judging.refusals import runs_on
from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.models import Image

SHOWN = 8
OWNERS = {"system": "public", "self": "your own", "others": "shared", "marketplace": "marketplace"}
RANKS = {owner: place for place, owner in enumerate(OWNERS)}
ARCHITECTURES = {"x86_64": "x86", "arm64": "Arm"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One image that can be chosen. `fits` counts the machines of the draft that it can run on; `size` is GiB.

    `present` counts the machines that run it now. `copies` is under how many other ids it exists in other places;
    `deprecated`, that its maker advises against it.
    """

    image_id: str
    name: str
    label: str
    os_name: str
    windows: bool
    size: int
    architecture: str
    owner: str
    ends: date | None
    ended: bool
    fits: int
    machines: int
    present: int
    copies: int = 0
    deprecated: bool = False

    @property
    def fits_all(self) -> bool:
        return self.fits == self.machines


@dataclass(frozen=True, slots=True)
class Picker:
    """The images that are shown, how many more match, and the image that is chosen now."""

    choices: list[Choice]
    more: int
    q: str
    chosen: str


def picker(*, alike_machines: Iterable[AlikeMachines], q: str, chosen: str, today: date) -> Picker:
    """Return the images that fit the search, with the chosen one in any case (one query).

    A deprecated image can still be used: it stays if it is chosen, and is not offered otherwise.
    """
    machines = Machines()
    for alike in alike_machines:
        machines.add(alike)
    places = set(machines.places)
    rows = Image.objects.present().filter(account__in={account for account, _ in places}, status__in=USABLE)
    types = sorted({kind for _, _, kind, _ in machines.to_fit})
    by_id: dict[str, list[Image]] = {}
    by_name: dict[str, list[Image]] = {}
    for image in rows.annotate(supported=_among(types)).defer("platform", "product_code", "supported_types"):
        if (image.account_id, image.region) in places:
            by_id.setdefault(image.image_id, []).append(image)
            if image.owner == "self" and image.name:
                by_name.setdefault(image.name, []).append(image)
    words = q.lower().split()
    choices, copies = [], set()
    for images in sorted(by_id.values(), key=lambda images: (images[0].image_id != chosen, images[0].image_id)):
        image = images[0]
        offered = any(copy.status == "Available" for copy in images) and all(word in _searched(image) for word in words)
        if image.image_id != chosen and not offered:
            continue
        around = images if len(images) == len(places) else images + by_name.get(image.name, [])
        matched = match_images(places, image.image_id, {}, around)
        by_place = {place: match.image for place, match in matched.items() if match.image}
        if image.image_id in copies:
            continue  # a copy of one that is in the list already
        copies |= {copy.image_id for copy in by_place.values() if copy.image_id != chosen}
        choices.append(_choice(image, by_place, machines, today))
    choices.sort(key=lambda choice: _order(choice, chosen, machines.families))
    return Picker(choices[:SHOWN], max(0, len(choices) - SHOWN), q, chosen)


class _Both(Func):
    """The values that are in both of two arrays."""

    template = "ARRAY(SELECT unnest(%(expressions)s))"
    arg_joiner = ") INTERSECT SELECT unnest("


def _among(types: list[str]) -> Case:
    """Return those of `types` that an image supports, None where that is not known.

    Found by the database: an image can support hundreds, and of thousands of images that would be all that is loaded.
    """
    texts = ArrayField(TextField())
    both = _Both("supported_types", Value(types, output_field=texts), output_field=texts)
    return Case(When(supported_types=None, then=None), default=both, output_field=texts)


def _searched(image: Image) -> str:
    arch = ARCHITECTURES.get(image.architecture, "")
    owner = OWNERS.get(image.owner, "")
    return f"{image.name} {image.os_name} {image.image_id} {image.architecture} {arch} {owner}".lower()


@dataclass(slots=True)
class Machines:
    """The machines of a draft, counted by everything that decides which image fits and which is offered first."""

    to_fit: Counter[tuple[AccountRegion, str, str, bool]] = field(default_factory=Counter)
    running: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    places: Counter[AccountRegion] = field(default_factory=Counter)

    def add(self, alike: AlikeMachines) -> None:
        machine, place = alike.machine, (alike.machine.account, alike.machine.region)
        self.to_fit[(place, machine.architecture, machine.instance_type, machine.io_optimized)] += alike.machines
        self.running[machine.image_id] += alike.machines
        self.families[family(machine.os_name)] += alike.machines
        self.places[place] += alike.machines


def _choice(image: Image, by_place: dict[AccountRegion, Image], machines: Machines, today: date) -> Choice:
    fits = sum(
        number
        for (place, architecture, instance_type, optimized), number in machines.to_fit.items()
        if place in by_place and _fits(by_place[place], architecture, instance_type, optimized)
    )
    ids = {copy.image_id for copy in by_place.values()}
    ends = end_of_life(image.os_name)
    return Choice(
        image_id=image.image_id,
        name=image.name,
        label=os_label(image.os_name) or image.image_id,
        os_name=image.os_name,
        windows=image.os_type == "windows",
        size=image.size,
        architecture=ARCHITECTURES.get(image.architecture, image.architecture),
        owner=OWNERS.get(image.owner, image.owner),
        ends=ends,
        ended=ends is not None and ends < today,
        fits=fits,
        machines=machines.places.total(),
        copies=len(ids) - 1,
        deprecated=image.status == "Deprecated",
        present=sum(machines.running[image_id] for image_id in ids),
    )


def _fits(image: Image, architecture: str, instance_type: str, optimized: bool) -> bool:
    if not runs_on(image, architecture) or (optimized and not image.io_optimized):
        return False
    supported: list[str] | None = image.supported  # type: ignore[attr-defined]
    return supported is None or instance_type in supported


def family(os_name: str) -> str:
    """Return a system's name without its version: `Ubuntu 24.04` is `Ubuntu`."""
    return os_label(os_name).rstrip("0123456789. R").strip()


def _order(choice: Choice, chosen: str, families: Counter[str]) -> tuple[object, ...]:
    owner = next((key for key, words in OWNERS.items() if words == choice.owner), "")
    return (
        choice.image_id != chosen,
        choice.fits == 0,
        choice.ended,
        RANKS.get(owner, len(RANKS)),
        -choice.fits,
        # A system that many of the machines run now comes before one that few of them run.
        -families[family(choice.os_name)],
        # The longest supported first; what has no known end comes last.
        -(choice.ends or date.min).toordinal(),
        choice.label,
        choice.image_id,
    )
