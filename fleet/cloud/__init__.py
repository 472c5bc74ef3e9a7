"""The typed client of the ECS API, built on the official SDK. It knows nothing of Django."""

from fleet.cloud.client import EcsClient
from fleet.cloud.errors import CloudError, Retryability, retryability_of
from fleet.cloud.types import (
    BatchAnswer,
    CreatedAnswer,
    Credential,
    DiskView,
    ImageView,
    InstanceTypeView,
    InstanceView,
    KeyPairView,
    MachineAnswer,
    RegionView,
    ReplaceAnswer,
    RunResult,
    SnapshotView,
)

__all__ = [
    "BatchAnswer",
    "CloudError",
    "CreatedAnswer",
    "Credential",
    "DiskView",
    "EcsClient",
    "ImageView",
    "InstanceTypeView",
    "InstanceView",
    "KeyPairView",
    "MachineAnswer",
    "RegionView",
    "ReplaceAnswer",
    "Retryability",
    "RunResult",
    "SnapshotView",
    "retryability_of",
]
