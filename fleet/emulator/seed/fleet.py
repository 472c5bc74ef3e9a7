"""The demo fleet of all regions."""

import hashlib
from random import Random

from fleet.emulator.seed.cases import add_snapshots, example_image, special_plans
from fleet.emulator.seed.images import case_images, own_images, public_images
from fleet.emulator.seed.machines import DAY, Drawer, build
from fleet.emulator.world.catalogue import RAW, REGION_IDS, REGIONS
from fleet.emulator.world.ids import seeded_id
from fleet.emulator.world.region import Region
from fleet.emulator.world.resources import KeyPair, Policy

# Below this many machines there are none for the cases, only ordinary ones and the reference's example.
LEAST_FOR_CASES = 20


def seed_fleet(
    regions: dict[str, Region], *, count: int, seed: int, now: float, only: list[str] | None, plain: bool
) -> None:
    """Fill regions with exactly `count` machines in all, and everything they need.

    `only` names the regions that get machines; `plain` makes all of them but the special ones plain web machines.
    """
    rng = Random(seed)
    for region in regions.values():
        _furnish(region, now, rng)
    chosen = [id for id in REGION_IDS if only is None or id in only]
    shares = _shares(chosen, count)
    number = 0
    for region_id in chosen:
        region = regions[region_id]
        drawer = Drawer(region, now, rng, plain=plain)
        left = shares[region_id]
        if region_id == REGION_IDS[0]:
            for plan in special_plans(region, now):
                if left and (count >= LEAST_FOR_CASES or plan.name == "example"):
                    build(region, plan, number, now, rng)
                    number, left = number + 1, left - 1
        for _ in range(left):
            build(region, drawer.plan(number), number, now, rng)
            number += 1
        add_snapshots(region, now, rng)


def _shares(chosen: list[str], count: int) -> dict[str, int]:
    total = sum(REGIONS[id].share for id in chosen)
    shares = {id: int(count * REGIONS[id].share / total) for id in chosen}
    if chosen:
        shares[chosen[0]] += count - sum(shares.values())
    return shares


def _furnish(region: Region, now: float, rng: Random) -> None:
    prefix = REGIONS[region.id].prefix
    for image in public_images(region.id, now) + own_images(region.id, prefix, now, rng):
        region.add(image)
    if region.id == REGION_IDS[0]:
        region.add(example_image(region.id, now))
    for image in case_images(region.id, prefix, now, rng):
        region.add(image)
    for name in RAW["key_pairs"]:
        fingerprint = hashlib.md5(f"{region.id}/{name}".encode(), usedforsecurity=False).hexdigest()
        region.add(KeyPair(name, region.id, fingerprint, now - 500 * DAY))
    for name, days in RAW["policies"]:
        region.add(Policy(seeded_id("sp", prefix, rng), region.id, name, now - 600 * DAY, days))
