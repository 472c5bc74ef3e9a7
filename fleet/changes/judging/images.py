"""One chosen image in many places: an image id belongs to a region of an account, and each place may know it by another.

What a person chose for a place counts there; else the same id; else its copy (the account's own, with the same name, system,
architecture and size) that can be used; else none, and then every machine there is blocked.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from django.db.models import Q

from fleet.models import Change, ChangeState, Image, Target

Place = tuple[int, str]  # account id and region
How = Literal["same", "copied", "chosen", ""]

USABLE = ("Available", "Deprecated")  # a deprecated image still is; one that is being made or has failed is not
COPIED = ("self", "others")  # whose images get copied; the provider's have one id everywhere
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Placed:
    """The image of one place, and how it was found: "" where it was not. A chosen one that is gone has `how` and no image."""

    image: Image | None
    how: How


def key_of(place: Place) -> str:
    """Return the key of a place in `Change.images`."""
    return f"{place[0]}/{place[1]}"


def place_of(key: str) -> Place:
    account, _, region = key.partition("/")
    return int(account), region


def placed(image_id: str, places: Collection[Place], by_hand: Mapping[Place, str]) -> dict[Place, Placed]:
    """Map a chosen image to its equal in each place, from the mirror: one query.

    `by_hand` says what a person chose for some of them. That belongs to this `image_id`: whoever takes another image starts
    without.
    """
    rows: Iterable[Image] = ()
    if image_id:
        names = Image.objects.filter(image_id=image_id, owner__in=COPIED).exclude(name="").values("name")
        meant = Q(image_id__in={image_id, *by_hand.values()}) | Q(owner="self", name__in=names)
        rows = Image.objects.present().filter(meant)
    return matched(image_id, places, by_hand, rows)


def matched(
    image_id: str, places: Collection[Place], by_hand: Mapping[Place, str], rows: Iterable[Image]
) -> dict[Place, Placed]:
    """Do what `placed` does, among `rows`."""
    there: dict[Place, list[Image]] = {place: [] for place in places}
    kinds = set()
    for row in rows:
        there.get((row.account_id, row.region), []).append(row)
        if row.image_id == image_id and row.owner in COPIED and row.name:
            kinds.add(_kind(row))
    return {place: _in_place(image_id, by_hand.get(place, ""), kinds, there[place]) for place in places}


def _in_place(image_id: str, chosen: str, kinds: set[tuple[object, ...]], here: list[Image]) -> Placed:
    by_id = {row.image_id: row for row in here}
    if chosen:
        return Placed(by_id.get(chosen), "chosen")
    if image_id in by_id:
        return Placed(by_id[image_id], "same")
    copies = [row for row in here if row.owner == "self" and row.status in USABLE and _kind(row) in kinds]
    if copies:
        return Placed(max(copies, key=lambda row: (row.created_at or _LONG_AGO, row.image_id)), "copied")
    return Placed(None, "")


def _kind(image: Image) -> tuple[object, ...]:
    return (image.name, image.os_name, image.architecture, image.size)


def places_of(change: Change) -> list[Place]:
    """Return the accounts and regions that the machines of a change are in, in order: one query."""
    rows = change.targets.order_by().values_list("instance__account_id", "instance__region").distinct()
    return sorted(rows)


def map_images(change: Change, by_hand: Mapping[Place, str]) -> None:
    """Write the mapping of the chosen image into `change.images`, unsaved: two queries. Only a draft's may still move."""
    found = placed(change.image_id, places_of(change), by_hand)
    change.images = {key_of(place): [one.image.image_id, one.how] for place, one in found.items() if one.image}


def by_hand_of(change: Change) -> dict[Place, str]:
    """Return what is fixed in the mapping of a change: in a draft what a person chose, afterwards every place."""
    moves = change.state == ChangeState.DRAFT
    return {place_of(key): image for key, (image, how) in change.images.items() if how == "chosen" or not moves}


def image_of(change: Change, target: Target) -> str:
    """Return the id of the image that is put on a machine; "" where it is made from a snapshot first."""
    if target.snapshot_id:
        return ""
    place = (target.instance.account_id, target.instance.region)
    image_id, _ = change.images.get(key_of(place), (change.image_id, "same"))
    return str(image_id)
