"""The typed client of the ECS API, over the official SDK. Knows no Django."""

from fleet.cloud.client import EcsClient
from fleet.cloud.errors import CloudError, Retryability, verdict_of
from fleet.cloud.types import (
    BatchAnswer,
    BatchVerdict,
    Credential,
    DiskView,
    ImageView,
    InstanceTypeView,
    InstanceView,
    KeyPairView,
    MadeAnswer,
    RegionView,
    ReplaceAnswer,
    RunResult,
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
    "MadeAnswer",
    "RegionView",
    "ReplaceAnswer",
    "Retryability",
    "RunResult",
    "SnapshotView",
    "verdict_of",
]
