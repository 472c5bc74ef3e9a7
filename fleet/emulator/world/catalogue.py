"""What the provider has on offer: regions and instance types, and the raw lists that a demo fleet is drawn from."""

import json
from dataclasses import dataclass
from typing import Any

from fleet.emulator.wire.errors import DATA

RAW: dict[str, Any] = json.loads((DATA / "catalogue.json").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """A region: its id, name, the prefix of its ids, its share of the fleet, its zones."""

    id: str
    name: str
    prefix: str
    share: float
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """An instance type; memory in GiB, architecture X86 or ARM."""

    id: str
    family: str
    cpus: int
    memory: int
    architecture: str


REGIONS = {r["id"]: RegionFacts(**{**r, "zones": tuple(r["zones"])}) for r in RAW["regions"]}
REGION_IDS = tuple(REGIONS)
TYPES = {one[0]: TypeFacts(*one) for one in RAW["types"]}


def type_facts(type_id: str) -> TypeFacts:
    """Return a type; one that the catalogue lacks counts as a small x86 machine."""
    return TYPES.get(type_id) or TypeFacts(type_id, type_id.rpartition(".")[0] or type_id, 2, 8, "X86")


def fits(architecture: str, type_id: str) -> bool:
    """Say whether an image's architecture runs on an instance type."""
    return (architecture == "arm64") == (type_facts(type_id).architecture == "ARM")
