"""Which image each region and account gets: the table below the images of a draft, with what a person must choose by hand."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.changes.judging.images import AccountRegion, RegionImage
from fleet.changes.judging.judgement import DraftJudgement
from fleet.inventory.lifecycle import os_label
from fleet.models import Image

BELONGS = "placed_image"  # the field that says to which chosen image the choices by hand belong
LONGEST = 128
OFFERED = 40
HOW = {"same": "the same image", "copied": "its copy", "chosen": "chosen by hand"}


@dataclass(frozen=True, slots=True)
class Row:
    """One region of one account: how many machines are there, which image they get and how it was found.

    `offered` are pairs of id and words to choose from, empty where no image has to be chosen by hand.
    """

    name: str
    account: str
    region: str
    machines: int
    image_id: str
    label: str
    how: str
    chosen: str
    offered: list[tuple[str, str]]


def field_of(place: AccountRegion) -> str:
    """Return the name of the form's field for the image of this place."""
    return f"image_in_{place[0]}_{place[1]}"


def by_hand_in(typed: Mapping[str, Any], places: Collection[AccountRegion], image_id: str) -> dict[AccountRegion, str]:
    """Return what was chosen by hand for this very image; choices for an image that was chosen before do not count."""
    if not image_id or typed.get(BELONGS) != image_id:
        return {}
    chosen = {place: str(typed.get(field_of(place), "")).strip() for place in places}
    return {place: value for place, value in chosen.items() if value and "\0" not in value and len(value) <= LONGEST}


def places_table(
    judgement: DraftJudgement, by_hand: Mapping[AccountRegion, str], accounts: Mapping[int, str]
) -> list[Row]:
    """Return the table, most machines first; empty where one place has the image itself. At most one query."""
    machines: Counter[AccountRegion] = Counter()
    for alike in judgement.alike_machines:
        machines[(alike.machine.account, alike.machine.region)] += alike.machines
    unsure = [place for place, match in judgement.images.items() if match.image is None or match.how == "chosen"]
    if len(judgement.images) < 2 and not by_hand:
        return []
    offered = _candidates(unsure, judgement) if unsure else {}
    return [
        _row(place, judgement.images[place], number, by_hand.get(place, ""), accounts, offered.get(place, []))
        for place, number in machines.most_common()
    ]


def _row(
    place: AccountRegion,
    match: RegionImage,
    machines: int,
    chosen: str,
    accounts: Mapping[int, str],
    offered: list[tuple[str, str]],
) -> Row:
    account, region = place
    if chosen and chosen not in dict(offered):
        words = f"{_words(match.image)}, {match.image.status.lower()}" if match.image else f"{chosen}, no longer there"
        offered = [*offered, (chosen, words)]
    label = os_label(match.image.os_name) if match.image else ""
    image_id = match.image.image_id if match.image else ""
    return Row(
        field_of(place), accounts[account], region, machines, image_id, label, HOW.get(match.how, ""), chosen, offered
    )


def _candidates(places: list[AccountRegion], judgement: DraftJudgement) -> dict[AccountRegion, list[tuple[str, str]]]:
    """Return the images that could take the place of the chosen one in these places, the most alike first (one query)."""
    like = next((match.image for match in judgement.images.values() if match.image and match.how != "chosen"), None)
    accounts, regions = {account for account, _ in places}, {region for _, region in places}
    rows = Image.objects.present().filter(account__in=accounts, region__in=regions, status="Available")
    by_place: dict[AccountRegion, list[Image]] = {}
    for image in rows.only("account_id", "region", "image_id", "name", "os_name", "os_type", "architecture", "owner"):
        by_place.setdefault((image.account_id, image.region), []).append(image)
    return {place: _offered(by_place.get(place, []), like) for place in places}


def _offered(images: list[Image], like: Image | None) -> list[tuple[str, str]]:
    def unlike(image: Image) -> tuple[object, ...]:
        if like is None:
            return (image.owner != "self", image.os_name, image.image_id)
        different = (image.architecture != like.architecture, image.os_type != like.os_type)
        return (
            *different,
            image.name != like.name,
            image.os_name != like.os_name,
            image.owner != "self",
            image.image_id,
        )

    return [(image.image_id, _words(image)) for image in sorted(images, key=unlike)[:OFFERED]]


def _words(image: Image) -> str:
    named = f" “{image.name}”" if image.name and image.owner != "system" else ""
    return f"{os_label(image.os_name)}{named}, {image.image_id}"
