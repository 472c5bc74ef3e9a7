"""Resources as JSON and back, for the state file."""

import json
from dataclasses import fields
from typing import Any

from fleet.emulator.world.resources import (
    Command,
    Disk,
    Hidden,
    Image,
    Instance,
    Invocation,
    KeyPair,
    Policy,
    Resource,
    Snapshot,
    System,
)
from fleet.emulator.world.timeline import Timeline

KINDS: dict[str, type[Resource]] = {
    kind.__name__: kind for kind in (Instance, Disk, Image, Snapshot, KeyPair, Policy, Command, Invocation)
}


def to_text(resource: Resource) -> str:
    """Write a resource as JSON."""
    return json.dumps({field.name: _plain(getattr(resource, field.name)) for field in fields(resource)})


def from_text(kind: str, text: str) -> Resource:
    """Read a resource that `to_text` wrote; fields added since then take their defaults, fields dropped are left out."""
    raw: dict[str, Any] = json.loads(text)
    if kind == "Instance":
        raw["status"] = Timeline(*((at, value) for at, value in raw["status"]))
        raw["system"] = Timeline(*((at, System(**value)) for at, value in raw["system"]))
        raw["locks"] = [(reason, message) for reason, message in raw["locks"]]
        raw["data_disk_ids"] = tuple(raw["data_disk_ids"])
        raw["hidden"] = Hidden(**raw["hidden"]) if raw["hidden"] else None
    elif kind == "Image":
        raw["data_snapshots"] = tuple((a, b, c) for a, b, c in raw["data_snapshots"])
        raw["type_families"] = tuple(raw["type_families"])
    elif kind == "Invocation":
        raw["outcomes"] = {key: (a, b, c) for key, (a, b, c) in raw["outcomes"].items()}
    known = {field.name for field in fields(KINDS[kind])}
    return KINDS[kind](**{name: value for name, value in raw.items() if name in known})


def _plain(value: Any) -> Any:
    if isinstance(value, Timeline):
        return [[at, _plain(one)] for at, one in value.pairs]
    if isinstance(value, System | Hidden):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return value
