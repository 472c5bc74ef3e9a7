"""The resources of the provider: instances, disks, images, key pairs, snapshots, policies, commands."""

from dataclasses import dataclass, field

from fleet.emulator.world.timeline import Timeline

Lock = tuple[str, str]


@dataclass(frozen=True, slots=True)
class System:
    """What an instance boots: its system disk, the image on it, and how one signs in.

    `password_login` says whether a password opens it at all: a key pair on Linux switches that off.
    `boots` and `serves` are false where a fault asks for it.
    """

    disk_id: str
    image_id: str
    os_type: str
    os_name: str
    os_name_en: str
    key_pair: str = ""
    password_set: bool = True
    password_login: bool = True
    image_password: bool = False
    boots: bool = True
    serves: bool = True


@dataclass(slots=True)
class Hidden:
    """States of an instance that no Describe call shows; `refuse` is an error that ReplaceSystemDisk always earns."""

    unpaid_order: bool = False
    charge_type_violation: bool = False
    arrears: bool = False
    internal_error: bool = False
    no_stock: bool = False
    refuse: str = ""


NOTHING_HIDDEN = Hidden()


@dataclass(slots=True)
class Instance:
    """An instance. Times are seconds since 1970; `system` changes at the completion of a replacement."""

    id: str
    region: str
    zone: str
    number: int
    name: str
    type_id: str
    charge_type: str
    created_at: float
    started_at: float
    expires_at: float
    status: Timeline[str]
    system: Timeline[System]
    stopped_mode: str = "KeepCharging"
    io_optimized: bool = True
    description: str = ""
    public_ip: str = ""
    eip: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    locks: list[Lock] = field(default_factory=list)
    data_disk_ids: tuple[str, ...] = ()
    deletion_protection: bool = False
    hidden: Hidden | None = None

    @property
    def secrets(self) -> Hidden:
        """What no Describe call shows."""
        return self.hidden or NOTHING_HIDDEN


@dataclass(slots=True)
class Disk:
    """A disk. It exists from `created_at` until `released_at`, is attached from `attached_at`; `how` names its maker."""

    id: str
    region: str
    zone: str
    instance_id: str
    kind: str
    category: str
    performance_level: str
    size: int
    image_id: str
    charge_type: str
    created_at: float
    attached_at: float
    released_at: float | None = None
    device: str = "/dev/xvda"
    name: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    policy_id: str = ""
    delete_auto_snapshot: bool = False
    encrypted: bool = False
    kms_key_id: str = ""
    how: str = "seed"
    request_id: str = ""
    client_token: str = ""

    def exists(self, now: float) -> bool:
        """Say whether a Describe call still shows it."""
        return self.released_at is None or now < self.released_at


@dataclass(slots=True)
class Image:
    """An image; the fields after `tags` are states that no Describe call shows."""

    id: str
    region: str
    name: str
    owner: str
    os_type: str
    platform: str
    architecture: str
    os_name: str
    os_name_en: str
    size: int
    created_at: float
    ready_at: float
    status: str = "Available"
    family: str = ""
    description: str = ""
    product_code: str = ""
    is_subscribed: bool = False
    io_optimized: bool = True
    cloud_init: bool = True
    source_snapshot_id: str = ""
    data_snapshots: tuple[tuple[str, str, int], ...] = ()
    type_families: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    has_password: bool = False
    removed_from_market: bool = False
    buy_quota_exceeded: bool = False
    not_resizable: bool = False
    refuse: str = ""

    def status_at(self, now: float) -> str:
        """Return Creating until the image is ready, then its status."""
        return "Creating" if now < self.ready_at else self.status


@dataclass(slots=True)
class Snapshot:
    """A snapshot of a disk: progressing until `done_at`; an automatic one may go with its disk at `removed_at`."""

    id: str
    region: str
    name: str
    disk_id: str
    disk_kind: str
    disk_size: int
    kind: str
    created_at: float
    done_at: float
    removed_at: float | None = None
    retention_days: int = 0
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    def exists(self, now: float) -> bool:
        """Say whether a Describe call still shows it."""
        return self.removed_at is None or now < self.removed_at


@dataclass(slots=True)
class KeyPair:
    """A key pair by its name."""

    id: str
    region: str
    fingerprint: str
    created_at: float
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Policy:
    """An automatic snapshot policy."""

    id: str
    region: str
    name: str
    created_at: float
    retention_days: int = 7
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Command:
    """A Cloud Assistant command; what it would run may hold secrets and is checked, but never kept."""

    id: str
    region: str
    name: str
    kind: str
    timeout: int
    kept: bool
    created_at: float


@dataclass(slots=True)
class Invocation:
    """One run of a command on some instances; `outcomes` is instance id -> (code, exit code, output)."""

    id: str
    region: str
    command_id: str
    created_at: float
    done_at: float
    outcomes: dict[str, tuple[str, int, str]]
    username: str = ""
    tags: dict[str, str] = field(default_factory=dict)


Resource = Instance | Disk | Image | Snapshot | KeyPair | Policy | Command | Invocation
