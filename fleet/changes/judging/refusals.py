"""The contract of ReplaceSystemDisk as we read it: what the API would refuse, known before anything is sent.

Pure functions over rows of the mirror. They ask in the order of the API (format of each value, existence, instance, image,
size), so that the first blocking problem of a machine is the refusal that the API would give. The emulator has its own reading
of the same contract.

What no Describe call shows can only be met at run time: ChargeTypeViolation, INST_HAS_UNPAID_ORDER, QuotaExceed.BuyImage,
ImageRemovedInMarket, InvalidSystemDiskSize.ImageNotSupportResize, a missing inherited password, OperationDenied (500).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fleet.changes.judging.editions import Edition
from fleet.changes.judging.facts import Machine
from fleet.changes.judging.images import USABLE, AccountRegion
from fleet.changes.judging.problems import Problem, block
from fleet.lib.secret import Secret
from fleet.models import Image, Instance, Login


@dataclass(frozen=True, slots=True)
class DiskRequest:
    """What a change asks for, the same for all of its machines.

    `size` is in GiB, None for the provider's default. Of a password it is only known whether there is one. `by_hand` are image
    ids by place: there a person has chosen which image is the equal of `image_id`.
    """

    image_id: str
    size: int | None
    login: str
    key_pair: str
    has_password: bool
    by_hand: Mapping[AccountRegion, str] = field(default_factory=dict)


def password_problem(password: Secret, edition: Edition, *, windows: bool = True) -> Problem | None:
    """Return what is wrong with a password (reference, row InvalidPassword.Malformed), without repeating any of it.

    `windows` adds the rule that only Windows has. A draft always asks for it: its image may still become one of Windows, and
    by then the password is sealed and cannot be looked at again.
    """
    value = password.reveal()
    least, most = edition.password_length
    strange = {character for character in value if not _allowed(character, edition)}
    if not least <= len(value) <= most:
        why = f"The password has {len(value)} characters; it needs {least} to {most}."
    elif strange:
        why = "The password holds characters that the API does not take."
    elif missing := _missing_classes(value, edition):
        why = f"The password lacks {missing}."
    elif windows and edition.password_first_not and value[0] in edition.password_first_not:
        why = f"The password starts with {edition.password_first_not}, which Windows does not take."
    else:
        return None
    return block("InvalidPassword.Malformed", why, _password_advice(edition), "password")


def size_problem_of_text(text: str) -> Problem | None:
    """Return a problem where a size is not a whole number (reference, row InvalidSystemDiskSize)."""
    if text.isascii() and text.isdigit():
        return None
    return block(
        "InvalidSystemDiskSize", "The size is not a whole number.", "Enter whole GiB, such as 40.", "disk_size"
    )


def resulting_size(disk_request: DiskRequest, machine: Instance | Machine, image: Image, edition: Edition) -> int:
    """Return the size of the new disk in GiB: the requested one, else the largest of default, image and present disk."""
    return disk_request.size or max(edition.default_size, image.size, machine.disk_size)


def refusals(
    *,
    disk_request: DiskRequest,
    machine: Machine,
    image: Image | None,
    key_pairs: frozenset[str],
    edition: Edition,
) -> list[Problem]:
    """Return every refusal of this machine that the mirror lets us foresee, in the order of the API.

    `image` is the image as the machine's own region shows it, `key_pairs` are the names of the key pairs in that region.
    """
    return list(_refusals(disk_request, machine, image, key_pairs, edition))


def _refusals(
    disk_request: DiskRequest, machine: Machine, image: Image | None, key_pairs: frozenset[str], edition: Edition
) -> Iterator[Problem]:
    if machine.gone:
        yield block("InvalidInstanceId.NotFound", "The machine no longer exists", "Leave it out.")
    if image is None or image.gone_at or image.status not in USABLE:
        where = f" in {machine.region}" if disk_request.image_id else ""
        do = "Choose an image that exists there." if disk_request.image_id else "Choose an image."
        yield block("InvalidImageId.NotFound", f"The image does not exist{where}", do, "image_id")
        image = None
    if _key_pair_missing(disk_request, image, key_pairs):
        yield block(
            edition.missing_key_pair,
            f"The key pair {disk_request.key_pair} does not exist in {machine.region}",
            "Choose one that exists there, or create it there first.",
            "key_pair",
        )
    yield from _machine_refusals(machine, edition)
    if image is not None:
        yield from _image_refusals(machine, image, edition)
        yield from _size_refusals(disk_request, machine, image, edition)
    # Last, since the API would accept it and leave a machine to which nobody has a key.
    if disk_request.login == Login.KEY_PAIR and not disk_request.key_pair:
        yield block("no_key_pair", "No key pair is chosen", "Choose one, or another way to sign in.", "key_pair")


def runs_on(image: Image, architecture: str) -> bool:
    """Say whether an image runs on machines of this architecture, as far as that is known."""
    # An i386 image runs on x86_64 too: all that counts is whether it is for Arm.
    return not architecture or (image.architecture == "arm64") == (architecture == "arm64")


def _key_pair_missing(disk_request: DiskRequest, image: Image | None, key_pairs: frozenset[str]) -> bool:
    # Reference, KeyPairName: Windows ignores it, so it need not exist there.
    windows = image is not None and image.os_type == "windows"
    asked = disk_request.login == Login.KEY_PAIR and disk_request.key_pair
    return bool(asked) and not windows and disk_request.key_pair not in key_pairs


def _machine_refusals(machine: Machine, edition: Edition) -> Iterator[Problem]:
    if machine.locked_for_security:
        yield block(
            "InstanceLockedForSecurity",
            "Locked by the provider for security",
            "Clear the finding in Security Center first.",
        )
    if machine.payment_due:
        yield block(edition.expired, "Expired or in arrears", "Pay or renew first, or leave these out.")
    if machine.status not in ("Running", "Stopped"):
        yield block(
            edition.creating if machine.status == "Pending" else "IncorrectInstanceStatus",
            f"In between: the state is {machine.status}",
            "Wait until it runs or has stopped; it is checked again by itself.",
        )
    if machine.snapshot_running:
        yield block(
            "DiskCreatingSnapshot",
            "A snapshot of the system disk is being made",
            "Wait until it is done; it is checked again by itself.",
        )


def _image_refusals(machine: Machine, image: Image, edition: Edition) -> Iterator[Problem]:
    if edition.data_disk_snapshots_refused and image.data_disk_snapshots:
        yield block(
            "OperationDenied",
            "The image holds snapshots of data disks",
            "Choose an image made from a system disk alone.",
            "image_id",
        )
    if image.owner == "marketplace" and not image.subscribed:
        yield block(
            "ImageNotSubscribed",
            "The market image is not subscribed",
            "Subscribe to it in the marketplace first.",
            "image_id",
        )
    if machine.io_optimized and not image.io_optimized:
        yield block(
            "IoOptimized.NotSupported",
            "The image does not run on I/O optimised machines",
            "Choose another image.",
            "image_id",
        )
    if not runs_on(image, machine.architecture):
        yield block(
            "InvalidParameter.Conflict",
            f"The image is for {image.architecture}, the machine is {machine.architecture}",
            f"Choose the {machine.architecture} build of the image for these.",
            "image_id",
        )
    if image.supported_types is not None and machine.instance_type not in image.supported_types:
        yield block(
            "ImageNotSupportInstanceType",
            f"The image does not support the type {machine.instance_type}",
            "Choose an image that does, or leave these out.",
            "image_id",
        )


def _size_refusals(disk_request: DiskRequest, machine: Machine, image: Image, edition: Edition) -> Iterator[Problem]:
    if disk_request.size is None:
        return
    size = disk_request.size
    limits = edition.size_range(
        category=machine.disk_category,
        performance_level=machine.disk_performance_level,
        windows=image.os_type == "windows",
    )
    if size < limits.least:
        yield block(
            "InvalidSystemDiskSize.LessThanMinSize",
            f"{size} GiB is below the least size, {limits.least} GiB",
            f"Enter {limits.least} or more.",
            "disk_size",
        )
    elif size < image.size:
        yield block(
            "InvalidSystemDiskSize.LessThanImageSize",
            f"{size} GiB is smaller than the image, {image.size} GiB",
            f"Enter {image.size} or more.",
            "disk_size",
        )
    elif size > limits.most:
        yield block(
            "InvalidSystemDiskSize.MoreThanMaxSize",
            f"{size:,} GiB is above the largest size, {limits.most:,} GiB",
            f"Enter {limits.most:,} or less.",
            "disk_size",
        )
    elif size < machine.disk_size:
        yield block(
            "InvalidSystemDiskSize.ValueNotSupported",
            "The disk would shrink",
            f"It has {machine.disk_size} GiB now. Enter {machine.disk_size} or more, or let every disk keep its size.",
            "disk_size",
        )


def _allowed(character: str, edition: Edition) -> bool:
    return character.isascii() and (character.isalnum() or character in edition.password_specials)


def _missing_classes(value: str, edition: Edition) -> str:
    classes = {
        "an upper-case letter": any(c.isupper() for c in value),
        "a lower-case letter": any(c.islower() for c in value),
        "a digit": any(c.isdigit() for c in value),
    }
    if edition.password_needs_letters_and_digit:
        return " and ".join(name for name, there in classes.items() if not there)
    classes["a special character"] = any(not c.isalnum() for c in value)
    if sum(classes.values()) >= edition.password_classes:
        return ""
    return "characters of more kinds: upper case, lower case, digits, specials"


def _password_advice(edition: Edition) -> str:
    least, most = edition.password_length
    kinds = (
        "with an upper-case letter, a lower-case letter and a digit"
        if edition.password_needs_letters_and_digit
        else f"of at least {edition.password_classes} kinds (upper case, lower case, digits, specials)"
    )
    return f"Use {least} to {most} characters {kinds}; these specials are allowed: {edition.password_specials}"
