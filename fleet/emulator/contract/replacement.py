"""What ReplaceSystemDisk refuses, in order: format of each value, what exists, the instance, the image, the size.

Source: ReplaceSystemDisk reference, table of error codes, and the request parameters; limits come from the edition.
"""

import re
from dataclasses import dataclass

from fleet.emulator.contract.call import Call
from fleet.emulator.wire.errors import not_valid
from fleet.emulator.world.catalogue import fits, type_facts
from fleet.emulator.world.resources import Disk, Image, Instance

WHOLE = re.compile(r"-?[0-9]{1,100}")


@dataclass(frozen=True, slots=True)
class ReplacementRequest:
    """The parameters of a replacement, well-formed; `size` in GiB is None where none was given."""

    password: str
    inherit: bool
    key_pair: str
    size: int | None
    encrypted: bool
    kms_key_id: str


def read_replacement(call: Call) -> ReplacementRequest:
    """Check the format of each value; raise the refusal of the first that is wrong."""
    params = call.params
    password = params.get("Password")
    if password and not password_is_well_formed(call, password):
        raise call.refuse("InvalidPassword.Malformed")
    inherit = bool(params.boolean("PasswordInherit"))
    if inherit and password:
        raise call.refuse("InvalidPasswordParam.Mismatch")
    size_text = params.get("SystemDisk.Size")
    if size_text and not WHOLE.fullmatch(size_text):
        raise call.refuse("InvalidSystemDiskSize")
    if params.get("SecurityEnhancementStrategy") not in ("", "Active", "Deactive"):
        raise not_valid("SecurityEnhancementStrategy")
    extra = call.edition.extra_parameters
    encrypted = bool(params.boolean("Encrypted")) if "Encrypted" in extra else False
    if "UseAdditionalService" in extra:
        params.boolean("UseAdditionalService")
    key = params.get("KMSKeyId") if "KMSKeyId" in extra else ""
    return ReplacementRequest(
        password, inherit, params.get("KeyPairName"), int(size_text) if size_text else None, encrypted, key
    )


def password_is_well_formed(call: Call, password: str) -> bool:
    """Say whether a password has the length, the kinds and only the characters that the edition asks for."""
    rules = call.edition.password
    kinds = {
        "upper": any("A" <= c <= "Z" for c in password),
        "lower": any("a" <= c <= "z" for c in password),
        "digit": any("0" <= c <= "9" for c in password),
        "special": any(c in rules["specials"] for c in password),
    }
    allowed = all((c.isascii() and c.isalnum()) or c in rules["specials"] for c in password)
    enough = all(kinds[kind] for kind in rules["kinds_needed"]) and sum(kinds.values()) >= rules["kinds_at_least"]
    return allowed and enough and rules["least"] <= len(password) <= rules["most"]


def check_existence(
    call: Call, request: ReplacementRequest, instance: Instance | None, image: Image | None
) -> tuple[Instance, Image]:
    """Refuse an instance, image or key pair that is not there. A key pair on Windows is not even looked for."""
    if instance is None:
        raise call.refuse("InvalidInstanceId.NotFound")
    if image is None or image.status_at(call.now) not in ("Available", "Deprecated"):
        raise call.refuse("InvalidImageId.NotFound")
    if request.key_pair and image.os_type == "linux" and request.key_pair not in call.region.key_pairs:
        raise call.refuse("KeyPairNotFound")
    first = call.edition.password["windows_may_not_start_with"]
    if first and image.os_type == "windows" and request.password.startswith(first):
        raise call.refuse("InvalidPassword.Malformed")
    if request.kms_key_id and not request.kms_key_id.startswith("key-emu"):
        raise call.refuse("InvalidParameter.KMSKeyId.NotFound")
    return instance, image


def check_instance(call: Call, instance: Instance, disk: Disk) -> None:
    """Refuse an instance that is locked, expired, in debt, of the wrong kind, not stopped, or being copied."""
    hidden = instance.secrets
    reasons = [reason for reason, _ in instance.locks]
    if "security" in reasons:
        raise call.refuse("InstanceLockedForSecurity")
    if instance.expires_at <= call.now or hidden.arrears or "financial" in reasons:
        raise call.refuse("Arrears")
    if hidden.unpaid_order:
        raise call.refuse("UnpaidOrder")
    if hidden.charge_type_violation:
        raise call.refuse("ChargeTypeViolation")
    if not instance.system.settled(call.now):
        raise call.refuse("Busy")
    status = instance.status.at(call.now)
    if status != "Stopped":
        raise call.refuse("Creating" if status == "Pending" else "IncorrectInstanceStatus")
    if call.region.snapshot_in_progress(disk.id, call.now):
        raise call.refuse("DiskCreatingSnapshot")
    if hidden.refuse:
        raise call.refuse(hidden.refuse)


def check_image(call: Call, instance: Instance, image: Image) -> None:
    """Refuse an image by its data disks, the market, the subscription, I/O, architecture, instance type."""
    if image.data_snapshots and call.edition.refuses_data_disk_snapshots:
        raise call.refuse("DataDiskSnapshot")
    if image.removed_from_market:
        raise call.refuse("ImageRemovedInMarket")
    if image.buy_quota_exceeded:
        raise call.refuse("QuotaExceed.BuyImage")
    if image.owner == "marketplace" and not image.is_subscribed:
        raise call.refuse("ImageNotSubscribed")
    if instance.io_optimized and not image.io_optimized:
        raise call.refuse("IoOptimized.NotSupported")
    if not fits(image.architecture, instance.type_id):
        raise call.refuse("InvalidParameter.Conflict")
    if image.type_families and type_facts(instance.type_id).family not in image.type_families:
        raise call.refuse("ImageNotSupportInstanceType")
    if image.refuse:
        raise call.refuse(image.refuse)


def size_of_new_disk(call: Call, request: ReplacementRequest, image: Image, disk: Disk) -> int:
    """Return the size in GiB that the new disk gets; raise the refusal of one that cannot be.

    An image that cannot be resized only ever makes a disk of its own size, whether a size is given or not.
    """
    least, most = call.edition.size_limits(category=disk.category, performance_level=disk.performance_level)
    if image.os_type == "windows":
        least = max(least, call.edition.windows_least)
    if request.size is None:
        size = max(call.edition.default_size, image.size, disk.size)
        if not image.not_resizable:
            return size
        if disk.size > image.size:
            raise call.refuse("InvalidSystemDiskSize.ImageNotSupportResize")
        return image.size
    if request.size < least:
        raise call.refuse("InvalidSystemDiskSize.LessThanMinSize")
    if request.size < image.size:
        raise call.refuse("InvalidSystemDiskSize.LessThanImageSize")
    if request.size > most:
        raise call.refuse("InvalidSystemDiskSize.MoreThanMaxSize")
    if request.size < disk.size:
        raise call.refuse("InvalidSystemDiskSize.ValueNotSupported")
    if image.not_resizable and request.size != image.size:
        raise call.refuse("InvalidSystemDiskSize.ImageNotSupportResize")
    return request.size
