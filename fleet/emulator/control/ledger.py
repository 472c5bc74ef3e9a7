"""The ledger: every disk created and released, for which instance, by which call; and how one signs in to each machine."""

from typing import Any

from fleet.emulator.provider import Provider
from fleet.emulator.wire.times import to_second
from fleet.emulator.world.resources import Disk, Instance


def ledger(provider: Provider, *, instance_id: str = "", since_seed: bool = False) -> dict[str, Any]:
    """Return `disks` in the order they came and `logins` by instance; of one instance where one is named.

    With `since_seed` only what calls created, and the logins of those machines. `released_at` is null while the disk
    is there, also when its release is still to come (`releasing`).
    """
    now = provider.clock.now()
    if instance_id:
        found = provider.instance(instance_id)
        disks = found[0].disks_of(instance_id) if found else []
        instances = [found[1]] if found else []
    elif since_seed:
        disks = [disk for disk in provider.all_disks() if disk.how != "seed"]
        names = {disk.instance_id for disk in disks}
        instances = [i for r in provider.regions.values() for i in list(r.instance_order) if i.id in names]
    else:
        disks = list(provider.all_disks())
        instances = [i for r in provider.regions.values() for i in list(r.instance_order)]
    return {
        "disks": [_entry(disk, now) for disk in disks],
        "logins": {instance.id: _login(instance, now) for instance in instances},
        "replacements": sum(1 for disk in disks if disk.how == "ReplaceSystemDisk"),
    }


def _entry(disk: Disk, now: float) -> dict[str, Any]:
    released = disk.released_at is not None and disk.released_at <= now
    return {
        "disk_id": disk.id,
        "instance_id": disk.instance_id,
        "region": disk.region,
        "kind": disk.kind,
        "image_id": disk.image_id,
        "size": disk.size,
        "created_at": to_second(disk.created_at),
        "released_at": to_second(disk.released_at or 0) if released else None,
        "releasing": disk.released_at is not None and not released,
        "request_id": disk.request_id,
        "client_token": disk.client_token,
        "how": disk.how,
    }


def _login(instance: Instance, now: float) -> dict[str, Any]:
    system = instance.system.at(now)
    return {
        "key_pair": system.key_pair or None,
        "password_set": system.password_set,
        "password_login": system.password_login,
        "image_password": system.image_password,
    }
