"""What the API shows and answers, with types. Times are aware and in UTC, disk and image sizes in GiB, memory in MiB.

What an answer leaves out (the API omits empty key pairs and tags) is an empty text, an empty dictionary, or None for a time.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class Revealable(Protocol):
    """A secret in memory (`fleet.lib.secret.Secret`): no text shows it."""

    def reveal(self) -> str:
        """Return the secret itself."""


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key; a temporary one of STS has a `security_token` too. The text of this object shows none of the three."""

    access_key_id: str = field(repr=False)
    secret: Revealable = field(repr=False)
    security_token: Revealable | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RegionView:
    """A region as DescribeRegions shows it; `endpoint` is the host name of its API."""

    region_id: str
    local_name: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class InstanceView:
    """An instance as DescribeInstances shows it.

    `locks` are the reasons under OperationLocks (`security`, `financial`, ...). `os_name` is the English name where there is
    one. `expires_at` is None for pay-as-you-go: the time that the API shows for it (2099) means nothing.
    """

    instance_id: str
    name: str
    region: str
    zone: str
    status: str
    stopped_mode: str
    instance_type: str
    os_type: str
    os_name: str
    image_id: str
    io_optimized: bool
    charge_type: str
    expires_at: datetime | None
    key_pair: str
    private_ip: str
    public_ip: str
    tags: dict[str, str]
    locks: tuple[str, ...]
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class DiskView:
    """A disk as DescribeDisks shows it; `kind` is `system` or `data`."""

    disk_id: str
    instance_id: str
    kind: str
    category: str
    performance_level: str
    size: int
    status: str
    image_id: str
    created_at: datetime | None
    snapshot_policy: str
    delete_auto_snapshot: bool
    tags: dict[str, str]
    locks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image: its `owner` is system, self, others or marketplace, its `architecture` x86_64, i386 or arm64."""

    image_id: str
    name: str
    os_type: str
    os_name: str
    platform: str
    architecture: str
    size: int
    owner: str
    status: str
    subscribed: bool
    product_code: str
    io_optimized: bool
    data_disk_snapshots: bool
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyPairView:
    """A key pair; of the key itself only the fingerprint is shown."""

    name: str
    fingerprint: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class InstanceTypeView:
    """An instance type. Its `architecture` is x86_64 or arm64, as images say it; `memory` is in MiB."""

    name: str
    architecture: str
    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot: `status` is progressing, accomplished or failed, `progress` as the API writes it (`40%`), `size` the disk's."""

    snapshot_id: str
    disk_id: str
    status: str
    progress: str
    created_at: datetime | None
    name: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class MachineAnswer:
    """What a batched call answers for one of its machines; the HTTP status 200 of the whole call says nothing of each."""

    instance_id: str
    code: str
    message: str

    @property
    def ok(self) -> bool:
        return self.code in ("", "200", "Success")


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The answer to a batched call: its request id, and what it says of each machine, in the order in which we named them."""

    request_id: str
    machines: tuple[MachineAnswer, ...]


@dataclass(frozen=True, slots=True)
class ReplaceAnswer:
    """The answer of ReplaceSystemDisk, given before the work is finished: the id of the disk that is being created."""

    disk_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class CreatedAnswer:
    """The answer to a call that creates a snapshot, an image or a run of a command: its id, given before it is ready."""

    created_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one machine reports of a command: its `status` is Running, Finished, Failed or Stopped; `error_code` says why."""

    instance_id: str
    status: str
    exit_code: int
    error_code: str
    output: str
