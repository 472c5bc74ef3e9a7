"""The actions; importing this registers them all."""

from fleet.emulator.actions import (
    commands,
    disks,
    images,
    instances,
    keypairs,
    offers,
    power,
    power_batch,
    replace,
    snapshots,
    tags,
)

LOADED = (commands, disks, images, instances, keypairs, offers, power, power_batch, replace, snapshots, tags)
