"""What the API shows and answers, typed. Times are aware and in UTC, disk and image sizes GiB, memory MiB.

What an answer leaves out (the API omits empty key pairs and tags) is an empty text, an empty dictionary or
None for a time.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class Revealable(Protocol):
    """A secret in memory (`fleet.lib.secret.Secret`): no text shows it, `reveal()` gives it."""

    def reveal(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key; `security_token` besides where it is a temporary one of STS. Its text shows none of
    the three.
    """

    access_key_id: str = field(repr=False)
    secret: Revealable = field(repr=False)
    security_token: Revealable | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RegionView:
    region_id: str
    local_name: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class InstanceView:
    """An instance as DescribeInstances shows it.

    `locks` are the reasons under OperationLocks (`security`, `financial`, ...). `os_name` is the English
    one where there is one. `expires_at` is None for pay-as-you-go, whose time in the API (2099) means
    nothing.
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
    """An image; `owner` is `system`, `self`, `others` or `marketplace`, `architecture` `x86_64`, `i386` or
    `arm64`.
    """

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
    name: str
    fingerprint: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class InstanceTypeView:
    """An instance type, its architecture in the words of images: `x86_64` or `arm64`. Memory in MiB."""

    name: str
    architecture: str
    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot; `progress` as the API writes it (`40%`), `status` progressing, accomplished or failed; `size` is its disk's."""

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
    """The answer of ReplaceSystemDisk, given before the work is finished: the id of the disk that comes to
    be.
    """

    disk_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class MadeAnswer:
    """The answer to a call that makes something (a snapshot, an image, a run of a command): its id, given before it is ready."""

    made_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one machine reports of a command: `status` is Running, Finished, Failed or Stopped, `error_code` why it failed."""

    instance_id: str
    status: str
    exit_code: int
    error_code: str
    output: str
