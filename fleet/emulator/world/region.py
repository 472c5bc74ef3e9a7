"""A region: its resources, the indexes that make naming 100 ids cheap, its lock, and what the present call has changed."""

from collections import Counter, defaultdict
from threading import RLock

from fleet.emulator.world.resources import (
    Command,
    Disk,
    Image,
    Instance,
    Invocation,
    KeyPair,
    Policy,
    Resource,
    Snapshot,
)


class Region:
    """The resources of one region by id. Hold `lock` while reading or changing them."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.lock = RLock()
        self.instances: dict[str, Instance] = {}
        self.disks: dict[str, Disk] = {}
        self.images: dict[str, Image] = {}
        self.key_pairs: dict[str, KeyPair] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.policies: dict[str, Policy] = {}
        self.commands: dict[str, Command] = {}
        self.invocations: dict[str, Invocation] = {}
        self.instance_order: list[Instance] = []
        self.disk_ids_of: dict[str, tuple[str, ...]] = {}
        self.snapshot_ids_of: defaultdict[str, list[str]] = defaultdict(list)
        self.image_users: Counter[str] = Counter()
        self._changed: dict[tuple[str, str], Resource] = {}
        self._removed: dict[tuple[str, str], Resource] = {}

    def add(self, resource: Resource) -> None:
        """Add a new resource to the region and to its indexes."""
        match resource:
            case Instance():
                self.instances[resource.id] = resource
                self.instance_order.append(resource)
                self.image_users[resource.system.last.image_id] += 1
            case Disk():
                self.disks[resource.id] = resource
                if resource.instance_id:
                    self.disk_ids_of[resource.instance_id] = (
                        *self.disk_ids_of.get(resource.instance_id, ()),
                        resource.id,
                    )
            case Image():
                self.images[resource.id] = resource
            case Snapshot():
                self.snapshots[resource.id] = resource
                self.snapshot_ids_of[resource.disk_id].append(resource.id)
            case KeyPair():
                self.key_pairs[resource.id] = resource
            case Policy():
                self.policies[resource.id] = resource
            case Command():
                self.commands[resource.id] = resource
            case Invocation():
                self.invocations[resource.id] = resource
        self.changed(resource)

    def remove_image(self, image: Image) -> None:
        """Forget an image: machines that run it go on, new replacements do not find it."""
        del self.images[image.id]
        self._changed.pop(("Image", image.id), None)
        self._removed["Image", image.id] = image

    def changed(self, resource: Resource) -> None:
        """Note that a resource has to be saved with the present call."""
        self._changed[type(resource).__name__, resource.id] = resource

    def take_changes(self) -> tuple[list[Resource], list[Resource]]:
        """Return what was changed and what was removed since the last time."""
        changed, removed = list(self._changed.values()), list(self._removed.values())
        if changed:
            self._changed = {}
        if removed:
            self._removed = {}
        return changed, removed

    def disks_of(self, instance_id: str) -> list[Disk]:
        """Return every disk an instance ever had, released ones included, in the order they came."""
        return [self.disks[disk_id] for disk_id in self.disk_ids_of.get(instance_id, ())]

    def snapshot_in_progress(self, disk_id: str, now: float) -> bool:
        """Say whether a snapshot of the disk is being taken."""
        return any(
            snapshot.exists(now) and now < snapshot.done_at
            for snapshot in (self.snapshots[one] for one in self.snapshot_ids_of.get(disk_id, ()))
        )
