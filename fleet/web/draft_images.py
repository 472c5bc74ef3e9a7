"""The image picker of a draft: only what is in the machines' regions, most useful first."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import Q

from fleet.changes.queries import Place
from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.models import Image, Instance

SHOWN = 8
OWNERS = {"system": "public", "self": "your own", "others": "shared", "marketplace": "marketplace"}
RANKS = {owner: place for place, owner in enumerate(OWNERS)}
ARCHITECTURES = {"x86_64": "x86", "arm64": "Arm"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One image as it can be chosen. `fits` counts the machines of the draft that it can run on; sizes are GiB."""

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


def picker(*, instances: Iterable[Instance], q: str, chosen: str, today: date) -> Picker:
    """Return the images that fit the search, the chosen one first if it does not; one query."""
    kinds: Counter[tuple[Place, str, str, bool]] = Counter()
    running: Counter[str] = Counter()
    families: Counter[str] = Counter()
    for one in instances:
        kinds[((one.account_id, one.region), one.architecture, one.instance_type, one.io_optimized)] += 1
        running[one.image_id] += 1
        families[family(one.os_name)] += 1
    places = {place for place, *_ in kinds}
    rows = Image.objects.present().filter(account__in={account for account, _ in places}, status="Available")
    for word in q.split():
        rows = rows.filter(
            Q(name__icontains=word) | Q(os_name__icontains=word) | Q(image_id__icontains=word) | Q(image_id=chosen)
        )
    found: dict[str, list[Image]] = {}
    for image in rows:
        if (image.account_id, image.region) in places:
            found.setdefault(image.image_id, []).append(image)
    choices = [_choice(images, kinds, running, today) for images in found.values()]
    choices.sort(key=lambda one: _order(one, chosen, families))
    return Picker(choices[:SHOWN], max(0, len(choices) - SHOWN), q, chosen)


def _choice(
    images: list[Image], kinds: Counter[tuple[Place, str, str, bool]], running: Counter[str], today: date
) -> Choice:
    image = images[0]
    by_place = {(one.account_id, one.region): one for one in images}
    fits = sum(
        number
        for (place, architecture, kind, optimized), number in kinds.items()
        if place in by_place and _fits(by_place[place], architecture, kind, optimized)
    )
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
        machines=sum(kinds.values()),
        present=running[image.image_id],
    )


def _fits(image: Image, architecture: str, kind: str, optimized: bool) -> bool:
    if architecture and image.architecture != architecture:
        return False
    if optimized and not image.io_optimized:
        return False
    return image.supported_types is None or kind in image.supported_types


def family(os_name: str) -> str:
    """Return a system's name without its version: `Ubuntu 24.04` is `Ubuntu`."""
    return os_label(os_name).rstrip("0123456789. R").strip()


def _order(one: Choice, chosen: str, families: Counter[str]) -> tuple[object, ...]:
    owner = next((key for key, words in OWNERS.items() if words == one.owner), "")
    return (
        one.image_id != chosen,
        one.fits == 0,
        one.ended,
        RANKS.get(owner, len(RANKS)),
        -one.fits,
        # What the machines know comes before what is foreign to them.
        -families[family(one.os_name)],
        # The longest supported first; what has no known end comes last.
        -(one.ends or date.min).toordinal(),
        one.label,
        one.image_id,
    )
