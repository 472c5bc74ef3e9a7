"""The typed client of the ECS API, over the official SDK. Knows no Django."""

from fleet.cloud.client import EcsClient
from fleet.cloud.errors import CloudError, Retryability, retryability_of
from fleet.cloud.types import (
    BatchAnswer,
    Credential,
    DiskView,
    ImageView,
    InstanceTypeView,
    InstanceView,
    KeyPairView,
    MachineAnswer,
    MadeAnswer,
    RegionView,
    ReplaceAnswer,
    RunResult,
    SnapshotView,
)

__all__ = [
    "BatchAnswer",
    "CloudError",
    "Credential",
    "DiskView",
    "EcsClient",
    "ImageView",
    "InstanceTypeView",
    "InstanceView",
    "KeyPairView",
    "MachineAnswer",
    "MadeAnswer",
    "RegionView",
    "ReplaceAnswer",
    "Retryability",
    "RunResult",
    "SnapshotView",
    "retryability_of",
]
