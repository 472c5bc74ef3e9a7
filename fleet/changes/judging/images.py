"""One chosen image in many regions: an image id belongs to one region of one account, and elsewhere its equal has another id.

Where a person chose an image for a region, it counts there; else the image with the same id; else the copy (an image of the
account itself with the same name, system, architecture and size) that can be used; else there is none, and every machine there
is blocked.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from django.db.models import Q

from fleet.models import Change, ChangeState, Image, Target

AccountRegion = tuple[int, str]  # primary key of an account, and one of its regions
How = Literal["same", "copied", "chosen", ""]

USABLE = ("Available", "Deprecated")  # a deprecated image can be used; one that is being made or has failed cannot
COPIED = ("self", "others")  # owners whose images get copied; the provider's own have one id in every region
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RegionImage:
    """The image that the machines of one region of an account get, and how it was found.

    Where none was found, `image` is None and `how` is empty; where a person chose one that is gone, `how` is still "chosen".
    """

    image: Image | None
    how: How


def key_of(place: AccountRegion) -> str:
    """Return the key of a region of an account in `Change.images`."""
    return f"{place[0]}/{place[1]}"


def account_region_of(key: str) -> AccountRegion:
    """Return the region of an account that a key of `Change.images` means."""
    account, _, region = key.partition("/")
    return int(account), region


def images_in(
    places: Collection[AccountRegion], image_id: str, by_hand: Mapping[AccountRegion, str]
) -> dict[AccountRegion, RegionImage]:
    """Return for each region of an account the equal of the chosen image, from the mirror: one query.

    `by_hand` are the images that a person chose for some of them. They belong to this `image_id`: with another image,
    nothing is chosen by hand.
    """
    rows: Iterable[Image] = ()
    if image_id:
        names = Image.objects.filter(image_id=image_id, owner__in=COPIED).exclude(name="").values("name")
        candidates = Q(image_id__in={image_id, *by_hand.values()}) | Q(owner="self", name__in=names)
        rows = Image.objects.present().filter(candidates)
    return match_images(places, image_id, by_hand, rows)


def match_images(
    places: Collection[AccountRegion], image_id: str, by_hand: Mapping[AccountRegion, str], rows: Iterable[Image]
) -> dict[AccountRegion, RegionImage]:
    """Do what `images_in` does, among the images `rows`, without a query."""
    by_place: dict[AccountRegion, list[Image]] = {place: [] for place in places}
    chosen = set()  # what the chosen image is like, in every region that has it
    for row in rows:
        by_place.get((row.account_id, row.region), []).append(row)
        if row.image_id == image_id and row.owner in COPIED and row.name:
            chosen.add(_likeness(row))
    return {place: _match(image_id, by_hand.get(place, ""), chosen, by_place[place]) for place in places}


def _match(image_id: str, by_hand: str, chosen: set[tuple[object, ...]], here: list[Image]) -> RegionImage:
    by_id = {row.image_id: row for row in here}
    if by_hand:
        return RegionImage(by_id.get(by_hand), "chosen")
    if image_id in by_id:
        return RegionImage(by_id[image_id], "same")
    copies = [row for row in here if row.owner == "self" and row.status in USABLE and _likeness(row) in chosen]
    if copies:
        return RegionImage(max(copies, key=lambda row: (row.created_at or _LONG_AGO, row.image_id)), "copied")
    return RegionImage(None, "")


def _likeness(image: Image) -> tuple[object, ...]:
    """Return what an image and its copy in another region have in common."""
    return (image.name, image.os_name, image.architecture, image.size)


def account_regions_of(change: Change) -> list[AccountRegion]:
    """Return the regions of accounts that the machines of a change are in, in order: one query."""
    rows = change.targets.order_by().values_list("instance__account_id", "instance__region").distinct()
    return sorted(rows)


def map_images(change: Change, by_hand: Mapping[AccountRegion, str]) -> None:
    """Write which image each region of an account gets into `change.images`, without saving the change: two queries.

    Only a draft is mapped anew: of a submitted change the mapping is part of what is approved.
    """
    found = images_in(account_regions_of(change), change.image_id, by_hand)
    change.images = {
        key_of(place): [chosen.image.image_id, chosen.how] for place, chosen in found.items() if chosen.image
    }


def by_hand_of(change: Change) -> dict[AccountRegion, str]:
    """Return the images that are not looked up: in a draft those that a person chose, in a submitted change all."""
    drafted = change.state == ChangeState.DRAFT
    return {
        account_region_of(key): image for key, (image, how) in change.images.items() if how == "chosen" or not drafted
    }


def image_of(change: Change, target: Target) -> str:
    """Return the id of the image that is put on a machine; "" where it is made from a snapshot first."""
    if target.snapshot_id:
        return ""
    place = (target.instance.account_id, target.instance.region)
    image_id, _ = change.images.get(key_of(place), (change.image_id, "same"))
    return str(image_id)
