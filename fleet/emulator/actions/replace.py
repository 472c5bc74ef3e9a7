"""ReplaceSystemDisk: a new disk at once, the old one released at completion, and what goes with it."""

from math import inf

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.contract.replacement import (
    ReplacementRequest,
    check_existence,
    check_image,
    check_instance,
    read_replacement,
    size_of_new_disk,
)
from fleet.emulator.world.catalogue import REGIONS
from fleet.emulator.world.ids import new_id
from fleet.emulator.world.resources import Disk, Image, Instance, System


@action(
    "ReplaceSystemDisk",
    scope="instance",
    honoured=(
        "InstanceId ImageId SystemDisk.Size Password PasswordInherit KeyPairName ClientToken "
        "SecurityEnhancementStrategy Encrypted KMSKeyId UseAdditionalService"
    ),
    ignored="DiskId Platform Architecture EncryptAlgorithm Arn.N.Rolearn Arn.N.RoleType Arn.N.AssumeRoleFor",
    changes=True,
)
def replace_system_disk(call: Call) -> Answer:
    """Replace the system disk of a stopped instance, which stays stopped."""
    instance_id, image_id = call.params.require("InstanceId"), call.params.require("ImageId")
    request = read_replacement(call)
    instance, image = check_existence(
        call, request, call.region.instances.get(instance_id), call.region.images.get(image_id)
    )
    old = call.region.disks[instance.system.last.disk_id]
    check_instance(call, instance, old)
    check_image(call, instance, image)
    size = size_of_new_disk(call, request, image, old)
    if instance.secrets.internal_error:
        raise call.refuse("InternalDenied")
    seconds = inf if call.met("stuck", instance.id) else call.settings.lasts("replace")
    return {"DiskId": _replace(call, request, instance, image, old, size, call.now + seconds)}


def _replace(
    call: Call, request: ReplacementRequest, instance: Instance, image: Image, old: Disk, size: int, done_at: float
) -> str:
    now, region = call.now, call.region
    new = Disk(
        new_id("d", REGIONS[region.id].prefix),
        region.id,
        old.zone,
        instance.id,
        "system",
        old.category,
        old.performance_level,
        size,
        image.id,
        old.charge_type,
        now,
        done_at,
        encrypted=request.encrypted or old.encrypted,
        kms_key_id=request.kms_key_id or old.kms_key_id,
        how="ReplaceSystemDisk",
        request_id=call.request_id,
        client_token=call.params.get("ClientToken"),
    )
    region.image_users[instance.system.last.image_id] -= 1
    region.image_users[image.id] += 1
    before = instance.system.at(now)
    after = _login(request, image, before, new.id, call)
    instance.system = instance.system.then(now, (done_at, after))
    old.released_at = done_at
    # What belongs to the old disk goes with it: its policy and tags simply, automatic snapshots only where it says so.
    if old.delete_auto_snapshot:
        for snapshot_id in region.snapshot_ids_of.get(old.id, ()):
            snapshot = region.snapshots[snapshot_id]
            if snapshot.kind == "auto" and snapshot.removed_at is None:
                snapshot.removed_at = done_at
                region.changed(snapshot)
    region.add(new)
    region.changed(old)
    region.changed(instance)
    call.effect = True
    return new.id


def _login(request: ReplacementRequest, image: Image, before: System, disk_id: str, call: Call) -> System:
    """Return the new system with the login that it has in effect.

    A password given counts, else the image's own where that is request for, else the one the machine had. On Linux a
    key pair switches the password off; on Windows it is not looked at.
    """
    key = request.key_pair if image.os_type == "linux" else ""
    kept = bool(request.password) or before.password_set
    password_set = image.has_password if request.inherit else kept
    instance_id = call.params.get("InstanceId")
    return System(
        disk_id,
        image.id,
        image.os_type,
        image.os_name,
        image.os_name_en,
        key_pair=key,
        password_set=password_set,
        password_login=password_set and not key,
        image_password=request.inherit,
        boots=not call.met("boot_fails", instance_id),
        serves=not call.met("serves_not", instance_id),
    )
