"""The typed client of the ECS API, over the official SDK. Knows no Django."""

from fleet.cloud.client import EcsClient
from fleet.cloud.errors import CloudError, Verdict
from fleet.cloud.types import (
    BatchAnswer,
    BatchVerdict,
    Credential,
    DiskView,
    ImageView,
    InstanceTypeView,
    InstanceView,
    KeyPairView,
    RegionView,
    ReplaceAnswer,
    SnapshotView,
)

__all__ = [
    "BatchAnswer",
    "BatchVerdict",
    "CloudError",
    "Credential",
    "DiskView",
    "EcsClient",
    "ImageView",
    "InstanceTypeView",
    "InstanceView",
    "KeyPairView",
    "RegionView",
    "ReplaceAnswer",
    "SnapshotView",
    "Verdict",
]
