"""What an approval signs: the spec digest of a change and the leaf digests of its machines."""

from datetime import UTC, datetime
from typing import Any

from fleet.lib.canonical import digest
from fleet.models import Change, Target


def spec(change: Change) -> dict[str, Any]:
    """Return everything that decides what happens to each machine, as the JSON that is hashed.

    A password is in it by the id and fingerprint of its sealed row: another password is another spec.
    """
    return {
        "format": 1,
        "change": change.pk,
        "settings": {
            "image_id": change.image_id,
            "images": {place: image for place, (image, _) in sorted(change.images.items())},
            "disk_size": change.disk_size,
            "login": change.login,
            "key_pair": change.key_pair,
            "secret": [str(change.secret.pk), change.secret.fingerprint] if change.secret else None,
            "security_enhancement": change.security_enhancement,
            "snapshot_days": change.snapshot_days,
        },
        "policy": change.policy,
        "window": {
            "calendar": change.calendar_id,
            "not_before": _utc(change.not_before),
            "not_after": _utc(change.not_after),
        },
    }


def _utc(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment else None


def spec_digest(change: Change) -> str:
    return digest(spec(change))


def leaf(target: Target) -> dict[str, Any]:
    """Return what was seen of one machine, as the JSON that is hashed: an approval is for this disk."""
    instance = target.instance
    return {
        "format": 1,
        "account": instance.account_id,
        "region": instance.region,
        "instance_id": instance.instance_id,
        "snapshot_id": target.snapshot_id,
        "seen": target.seen,
    }


def leaf_digest(target: Target) -> str:
    return digest(leaf(target))
