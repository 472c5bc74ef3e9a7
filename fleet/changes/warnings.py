"""What a reviewer must know although the API would not refuse it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from fleet.changes.editions import Edition
from fleet.changes.problems import Problem, warn
from fleet.changes.rules import Wish, resulting_size
from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.models import Image, Instance, Login

STALE_AFTER = timedelta(minutes=5)
RECENT = timedelta(days=1)

# Code to the sentence that heads a group of machines, and what follows from it. The order is that of the review: worst first.
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
    "login_changes": ("The way to sign in changes", "The key pair of now is not on the new disk."),
    "password_unused": ("The password is not used on Linux", "With a key pair, Linux turns password sign-in off."),
    "same_image": ("Already on this image", "It is installed afresh; everything on the disk is lost all the same."),
    "disk_grows": ("The disk gets larger", "The larger size is billed from the moment of the replacement."),
    "data_disks": ("Has data disks", "They stay, but the new system does not mount them by itself."),
    "stale_mirror": ("Read more than five minutes ago", "Every machine is read afresh on submit."),
}
ORDER = {code: place for place, code in enumerate(WORDS)}


def warnings(
    *, wish: Wish, instance: Instance, image: Image, edition: Edition, last_replaced: datetime | None, now: datetime
) -> list[Problem]:
    """Return the warnings for one machine that is not blocked, worst first."""
    codes = _codes(wish, instance, image, edition, last_replaced, now)
    return [warn(code, *WORDS[code]) for code in sorted(codes, key=ORDER.__getitem__)]


def _codes(
    wish: Wish, instance: Instance, image: Image, edition: Edition, last_replaced: datetime | None, now: datetime
) -> Iterator[str]:
    windows = image.os_type == "windows"
    if image.os_type != instance.os_type:
        yield "os_family"
    elif not windows and _distribution(image.os_name) != _distribution(instance.os_name):
        yield "distribution"
    if instance.tags.get("protected", "").lower() in ("true", "yes", "1"):
        yield "protected"
    if wish.login == Login.KEY_PAIR and windows:
        yield "windows_key_pair"
    if wish.login == Login.KEY_PAIR and not windows and wish.has_password:
        yield "password_unused"
    if instance.key_pair and wish.login != Login.KEY_PAIR:
        yield "login_changes"
    ends = end_of_life(image.os_name)
    if ends and ends < now.date():
        yield "end_of_life"
    if instance.status == "Stopped" and instance.stopped_mode == "StopCharging":
        yield "economical"
    if last_replaced and now - last_replaced < RECENT:
        yield "replaced_lately"
    if image.image_id == instance.image_id:
        yield "same_image"
    if resulting_size(wish, instance, image, edition) > max(20, instance.disk_size):
        yield "disk_grows"
    if instance.data_disks:
        yield "data_disks"
    if now - instance.seen_at > STALE_AFTER:
        yield "stale_mirror"


def _distribution(os_name: str) -> str:
    """Return a label's name without its version: `Ubuntu 24.04` is `Ubuntu`."""
    return os_label(os_name).rstrip("0123456789. ").strip()
