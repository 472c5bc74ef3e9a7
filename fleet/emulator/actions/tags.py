"""TagResources."""

from collections.abc import Mapping

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import common_error, missing
from fleet.emulator.world.resources import Disk, Image, Instance, KeyPair, Policy, Snapshot

Tagged = Instance | Disk | Image | Snapshot | KeyPair | Policy


@action(
    "TagResources",
    scope="region",
    honoured="ResourceType ResourceId.N Tag.N.Key Tag.N.Value",
    changes=True,
)
def tag_resources(call: Call) -> Answer:
    """Add up to 20 tags to each of up to 50 resources; all of it or nothing."""
    kind = call.params.require("ResourceType").lower()
    collections: dict[str, Mapping[str, Tagged]] = {
        "instance": call.region.instances,
        "disk": call.region.disks,
        "image": call.region.images,
        "snapshot": call.region.snapshots,
        "keypair": call.region.key_pairs,
        "snapshotpolicy": call.region.policies,
    }
    if kind not in collections:
        raise common_error("InvalidResourceType.NotFound")
    ids = call.params.repeated("ResourceId")
    if not ids:
        raise missing("ResourceId.1")
    if len(ids) > 50:
        raise common_error("NumberExceed.ResourceIds")
    tags = dict(call.params.tags())
    if not tags:
        raise missing("Tag.1.Key")
    found = [collections[kind].get(one) for one in ids]
    for resource in found:
        gone = isinstance(resource, Disk | Snapshot) and not resource.exists(call.now)
        if resource is None or gone:
            raise common_error("InvalidResourceId.NotFound")
        if len({*resource.tags, *tags}) > 20:
            raise common_error("NumberExceed.Tags")
    for resource in found:
        if resource is not None:
            resource.tags = {**resource.tags, **tags}
            call.region.changed(resource)
    call.effect = True
    return {}
