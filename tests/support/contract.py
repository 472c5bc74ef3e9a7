"""A plain machine, a plain image and a plain disk_request, against which nothing stands."""

from datetime import UTC, datetime
from typing import Any

from fleet.changes.judging.refusals import DiskRequest
from fleet.models import Image, Instance

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DISK_REQUEST = DiskRequest(image_id="m-1", size=60, login="key_pair", key_pair="ops", has_password=False)


def machine(**given: Any) -> Instance:
    fields: dict[str, Any] = {
        "region": "cn-hangzhou",
        "instance_id": "i-1",
        "name": "web-1",
        "status": "Running",
        "instance_type": "ecs.g7.large",
        "architecture": "x86_64",
        "os_type": "linux",
        "os_name": "Ubuntu 20.04 64 bit",
        "image_id": "m-0",
        "io_optimized": True,
        "disk_id": "d-1",
        "disk_size": 40,
        "disk_category": "cloud_essd",
        "disk_performance_level": "PL1",
        "seen_at": NOW,
    }
    return Instance(**(fields | given))


def image(**given: Any) -> Image:
    fields: dict[str, Any] = {
        "image_id": "m-1",
        "os_type": "linux",
        "os_name": "Ubuntu 24.04 64 bit",
        "architecture": "x86_64",
        "size": 20,
        "owner": "system",
        "status": "Available",
        "io_optimized": True,
    }
    return Image(**(fields | given))
