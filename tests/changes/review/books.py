"""What a walk through the rules writes down for itself: what each approval was about, whatever our columns say."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.changes.drafting.settings import Settings
from fleet.guards.policy import Policy
from fleet.models import Change

FORM = (
    "image_id",
    "disk_size",
    "login",
    "key_pair",
    "policy",
    "snapshot_days",
    "not_before",
    "not_after",
    "calendar_id",
)


@dataclass(frozen=True)
class Signed:
    """What one person really approved."""

    who: str
    revision: int
    round: int
    form: tuple[str, ...]
    disks: frozenset[tuple[int, str]]
    until: datetime


def form(change: Change) -> tuple[str, ...]:
    return tuple(str(getattr(change, name)) for name in FORM)


def disks(targets: Any) -> frozenset[tuple[int, str]]:
    return frozenset((target.instance_id, target.seen["disk_id"]) for target in targets)


def chosen(change: Change, size: int | None) -> Settings:
    """Return what the draft has, with another disk size."""
    return Settings(
        title=change.title,
        reason=change.reason,
        image_id=change.image_id,
        disk_size=size,
        login=change.login,
        key_pair=change.key_pair,
        password=None,
        forget_password=False,
        security_enhancement=False,
        policy=Policy.of(change.policy),
    )
