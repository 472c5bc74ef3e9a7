"""Changing an instance or an image from outside: what the API shows, and states that no Describe call shows."""

from collections.abc import Callable
from dataclasses import fields, replace
from math import inf
from typing import Any

from fleet.emulator.actions.disks import disk_view
from fleet.emulator.actions.images import STATUSES as IMAGE_STATUSES
from fleet.emulator.actions.instance_view import instance_view
from fleet.emulator.actions.instances import STATUSES
from fleet.emulator.wire.times import parse_time
from fleet.emulator.world.region import Region
from fleet.emulator.world.resources import Disk, Hidden, Image, Instance, Snapshot
from fleet.emulator.world.timeline import Timeline

HIDDEN = {field.name: type(field.default) for field in fields(Hidden)}
SYSTEM = ("boots", "serves", "password_set", "password_login", "image_password")


def show_instance(region: Region, instance: Instance, now: float) -> dict[str, Any]:
    """Return the API's view, the system disk's, and what is hidden."""
    system = instance.system.at(now)
    return {
        **instance_view(instance, now),
        "SystemDisk": disk_view(region.disks[system.disk_id], now),
        "Hidden": {name: getattr(instance.secrets, name) for name in HIDDEN},
        "System": {name: getattr(system, name) for name in SYSTEM},
        "Replacing": not instance.system.settled(now),
    }


def patch_instance(region: Region, instance: Instance, raw: dict[str, Any], now: float) -> None:
    """Merge fields into an instance; raise ValueError, and change nothing, if any of them cannot be.

    Status ends whatever was under way. Replacing=false completes a replacement now. Hidden states may also be given at
    the top level, as may boots and serves.
    """
    acts: list[Callable[[], None]] = []
    for name, value in raw.items():
        if name == "Hidden":
            acts += [_hidden(instance, key, one) for key, one in _dict(name, value).items()]
        elif name in HIDDEN:
            acts.append(_hidden(instance, name, value))
        elif name == "System":
            acts += [_system(instance, key, one, now) for key, one in _dict(name, value).items()]
        elif name in SYSTEM:
            acts.append(_system(instance, name, value, now))
        elif name == "SystemDisk":
            disk = region.disks[instance.system.last.disk_id]
            acts += [_disk(region, disk, key, one, now) for key, one in _dict(name, value).items()]
        else:
            acts.append(_field(region, instance, name, value, now))
    for act in acts:
        act()
    region.changed(instance)


def _field(region: Region, instance: Instance, name: str, value: Any, now: float) -> Callable[[], None]:
    texts = {"InstanceName": "name", "InstanceType": "type_id", "Description": "description"}
    if name in texts:
        return _setter(instance, texts[name], _text(name, value))
    if name in ("IoOptimized", "DeletionProtection"):
        attribute = "io_optimized" if name == "IoOptimized" else "deletion_protection"
        return _setter(instance, attribute, _bool(name, value))
    if name == "Status":
        return _setter(instance, "status", Timeline((now, _one_of(name, value, *STATUSES))))
    if name == "StoppedMode":
        return _setter(instance, "stopped_mode", _one_of(name, value, "KeepCharging", "StopCharging"))
    if name == "InstanceChargeType":
        return _setter(instance, "charge_type", _one_of(name, value, "PrePaid", "PostPaid"))
    if name == "ExpiredTime":
        return _setter(instance, "expires_at", parse_time(_text(name, value)))
    if name == "Tags":
        return _setter(instance, "tags", _tags(value))
    if name == "OperationLocks":
        return _setter(instance, "locks", _locks(value))
    if name == "KeyPairName":
        key = _text(name, value or "")
        return lambda: _bind_key(instance, key, now)
    if name == "ImageId":
        image_id = _text(name, value)
        return lambda: _run_image(region, instance, image_id, now)
    if name == "Replacing" and value is False:
        return lambda: _complete(region, instance, now)
    raise ValueError(f"{name} cannot be patched on an instance.")


def _bind_key(instance: Instance, key: str, now: float) -> None:
    instance.system = Timeline((now, replace(instance.system.at(now), key_pair=key)))


def _run_image(region: Region, instance: Instance, image_id: str, now: float) -> None:
    system, image = instance.system.at(now), region.images.get(image_id)
    if image is not None:
        system = replace(system, os_type=image.os_type, os_name=image.os_name, os_name_en=image.os_name_en)
    instance.system = Timeline((now, replace(system, image_id=image_id)))
    disk = region.disks[system.disk_id]
    disk.image_id = image_id
    region.changed(disk)


def _complete(region: Region, instance: Instance, now: float) -> None:
    for disk in region.disks_of(instance.id):
        if disk.attached_at > now:
            disk.attached_at = now
        if disk.released_at is not None and disk.released_at > now:
            disk.released_at = now
        region.changed(disk)
    instance.system = Timeline((now, instance.system.last))


def _disk(region: Region, disk: Disk, name: str, value: Any, now: float) -> Callable[[], None]:
    region.changed(disk)
    texts = {"Category": "category", "PerformanceLevel": "performance_level", "AutoSnapshotPolicyId": "policy_id"}
    if name in texts:
        return _setter(disk, texts[name], _text(name, value))
    if name == "Size":
        return _setter(disk, "size", _int(name, value))
    if name == "DeleteAutoSnapshot":
        return _setter(disk, "delete_auto_snapshot", _bool(name, value))
    if name == "Encrypted":
        return _setter(disk, "encrypted", _bool(name, value))
    if name == "Tags":
        return _setter(disk, "tags", _tags(value))
    if name == "SnapshotInProgress":
        wanted = _bool(name, value)
        return lambda: _snapshot_in_progress(region, disk, wanted, now)
    raise ValueError(f"SystemDisk.{name} cannot be patched.")


def _snapshot_in_progress(region: Region, disk: Disk, wanted: bool, now: float) -> None:
    for snapshot_id in region.snapshot_ids_of.get(disk.id, ()):
        snapshot = region.snapshots[snapshot_id]
        if now < snapshot.done_at:
            snapshot.done_at = now
            region.changed(snapshot)
    if wanted:
        id = f"s-patched{len(region.snapshots):012d}"
        region.add(Snapshot(id, region.id, "patched", disk.id, disk.kind, disk.size, "user", now, inf))


def patch_image(region: Region, image: Image, raw: dict[str, Any]) -> None:
    """Merge fields into an image, by the API's names or, for hidden states, the emulator's; raise ValueError."""
    names = {
        "ImageName": "name", "Description": "description", "ImageFamily": "family", "Architecture": "architecture",
        "OSType": "os_type", "Platform": "platform", "OSName": "os_name", "OSNameEn": "os_name_en",
        "ProductCode": "product_code", "Size": "size", "IsSubscribed": "is_subscribed",
        "IsSupportIoOptimized": "io_optimized", "IsSupportCloudinit": "cloud_init", "ImageOwnerAlias": "owner",
    }  # fmt: skip
    hidden = ("has_password", "removed_from_market", "buy_quota_exceeded", "not_resizable", "refuse")
    flat = {**{k: v for k, v in raw.items() if k != "Hidden"}, **_dict("Hidden", raw.get("Hidden", {}))}
    changes: dict[str, Any] = {}
    for name, value in flat.items():
        if name in names or name in hidden:
            attribute = names.get(name, name)
            if type(value) is not type(getattr(image, attribute)):
                raise ValueError(f"{name} is of another type: {type(getattr(image, attribute)).__name__}.")
            changes[attribute] = value
        elif name == "Status":
            changes |= {"status": _one_of(name, value, *IMAGE_STATUSES), "ready_at": image.created_at}
        elif name == "Tags":
            changes["tags"] = _tags(value)
        elif name == "InstanceTypeFamilies":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise ValueError("InstanceTypeFamilies is a list of families such as ecs.g7; empty for all.")
            changes["type_families"] = tuple(value)
        elif name == "DataDiskSnapshots":
            changes["data_snapshots"] = tuple((_text(name, one), "/dev/xvdb", 40) for one in value)
        else:
            raise ValueError(f"{name} cannot be patched on an image.")
    for attribute, value in changes.items():
        setattr(image, attribute, value)
    region.changed(image)


def _setter(target: object, attribute: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(target, attribute, value)


def _hidden(instance: Instance, name: str, value: Any) -> Callable[[], None]:
    if name not in HIDDEN or type(value) is not HIDDEN[name]:
        raise ValueError(f"Hidden has {', '.join(HIDDEN)}; refuse is an error code, the others are true or false.")

    def act() -> None:
        changes: dict[str, Any] = {name: value}
        instance.hidden = replace(instance.secrets, **changes)

    return act


def _system(instance: Instance, name: str, value: Any, now: float) -> Callable[[], None]:
    if name not in SYSTEM or not isinstance(value, bool):
        raise ValueError(f"System has {', '.join(SYSTEM)}, each true or false.")

    def act() -> None:
        changes: dict[str, Any] = {name: value}
        pairs = [(at, replace(system, **changes)) for at, system in instance.system.pairs]
        instance.system = Timeline(*pairs)

    return act


def _dict(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is an object.")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is a text.")
    return value


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false.")
    return value


def _int(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is a whole number above 0.")
    return value


def _one_of(name: str, value: Any, *allowed: str) -> str:
    if value not in allowed:
        raise ValueError(f"{name} is one of {', '.join(allowed)}.")
    return str(value)


def _tags(value: Any) -> dict[str, str]:
    if isinstance(value, dict) and isinstance(value.get("Tag"), list):
        value = {one.get("TagKey"): one.get("TagValue", "") for one in value["Tag"]}
    tags = _dict("Tags", value)
    return {_text("a tag", key): _text("a tag", one) for key, one in tags.items()}


def _locks(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        value = value.get("LockReason", [])
    if not isinstance(value, list):
        raise ValueError('OperationLocks is a list of reasons such as ["security"].')
    locks = []
    for one in value:
        reason = one.get("LockReason") if isinstance(one, dict) else one
        locks.append((_text("a lock's reason", reason), str(one.get("LockMsg", "")) if isinstance(one, dict) else ""))
    return locks
