"""The actions of the API, one module for each family of them; importing this package registers all of them."""

from fleet.emulator.actions import (
    commands,
    disks,
    images,
    instances,
    keypairs,
    power,
    power_batch,
    regions_and_types,
    replace,
    snapshot_policies,
    snapshots,
    tags,
)

LOADED = (
    commands,
    disks,
    images,
    instances,
    keypairs,
    power,
    power_batch,
    regions_and_types,
    replace,
    snapshot_policies,
    snapshots,
    tags,
)
