"""What a reviewer must know although the API would not refuse it."""

from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from fleet.changes.judging.editions import Edition
from fleet.changes.judging.facts import Machine
from fleet.changes.judging.problems import Problem, warn
from fleet.changes.judging.refusals import DiskRequest, resulting_size
from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.models import Image, Login

# By code: the sentence that heads a group of machines, and what follows from it; in the order of the review, worst first.
WORDS: dict[str, tuple[str, str]] = {
    "os_family": (
        "Another family: Windows and Linux change places",
        "No program of the old system runs again; data disks of the other family are not readable.",
    ),
    "protected": ("Tagged as protected", "Ask the owner before it is replaced."),
    "windows_key_pair": (
        "Windows ignores key pairs",
        "A password still counts; without one nobody can sign in who could not before.",
    ),
    "end_of_life": ("The new system is past its end of life", "It gets no security updates. Choose a newer image."),
    "distribution": ("Another distribution", "Packages, paths and service names differ."),
    "economical": (
        "Stopped in economical mode",
        "Its processors were given back: a later start can fail for want of stock.",
    ),
    "replaced_lately": ("Replaced less than a day ago", "Make sure that it is meant again."),
    "login_changes": ("The way to sign in changes", "What people sign in with now is not on the new disk."),
    "password_unused": ("The password is not used on Linux", "With a key pair, Linux turns password sign-in off."),
    "same_image": ("Already on this image", "It is installed afresh; everything on the disk is lost all the same."),
    "disk_grows": ("The disk gets larger", "The larger size is billed from the moment of the replacement."),
    "data_disks": ("Has data disks", "They stay, but the new system does not mount them by itself."),
    "stale_mirror": ("Read more than five minutes ago", "Every machine is read afresh on submit."),
}
ORDER = {code: place for place, code in enumerate(WORDS)}
_WARNINGS = {code: warn(code, *words) for code, words in WORDS.items()}


def warnings(
    *, disk_request: DiskRequest, machine: Machine, image: Image, edition: Edition, today: date
) -> list[Problem]:
    """Return the warnings for one machine that is not blocked, worst first."""
    codes = _codes(disk_request, machine, image, edition, today)
    return [_WARNINGS[code] for code in sorted(codes, key=ORDER.__getitem__)]


def _codes(disk_request: DiskRequest, machine: Machine, image: Image, edition: Edition, today: date) -> Iterator[str]:
    windows = image.os_type == "windows"
    if image.os_type != machine.os_type:
        yield "os_family"
    elif not windows and _distribution(image.os_name) != _distribution(machine.os_name):
        yield "distribution"
    if machine.protected:
        yield "protected"
    if disk_request.login == Login.KEY_PAIR and windows:
        yield "windows_key_pair"
    if disk_request.login == Login.KEY_PAIR and not windows and disk_request.has_password:
        yield "password_unused"
    if _login_changes(disk_request, machine, windows=windows):
        yield "login_changes"
    ends = end_of_life(image.os_name)
    if ends and ends < today:
        yield "end_of_life"
    if machine.economical:
        yield "economical"
    if machine.replaced_lately:
        yield "replaced_lately"
    if image.image_id == machine.image_id:
        yield "same_image"
    if resulting_size(disk_request, machine, image, edition) > max(20, machine.disk_size):
        yield "disk_grows"
    if machine.has_data_disks:
        yield "data_disks"
    if machine.stale:
        yield "stale_mirror"


def _login_changes(disk_request: DiskRequest, machine: Machine, *, windows: bool) -> bool:
    """Say whether the new disk lacks what people sign in with now.

    Where the login is left as in the image, the key pair of the machine is bound to it again; but Windows takes no key pair.
    """
    if windows:
        return machine.key_pair != ""
    if disk_request.login == Login.KEY_PAIR:
        return machine.key_pair != disk_request.key_pair
    return disk_request.login == Login.PASSWORD and machine.key_pair != ""


@lru_cache(maxsize=4096)
def _distribution(os_name: str) -> str:
    """Return the name of a system without its version: `Ubuntu` for `Ubuntu 24.04`."""
    return os_label(os_name).rstrip("0123456789. ").strip()
