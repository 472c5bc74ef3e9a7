"""The mirror of the cloud. Only `fleet.inventory` writes it; what the cloud no longer shows keeps its row, with a `gone_at`."""

from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models


class MirroredQuerySet(models.QuerySet[Any]):
    """Rows of the mirror."""

    def present(self) -> "MirroredQuerySet":
        """Return those that the cloud still shows."""
        return self.filter(gone_at=None)


class Instance(models.Model):
    """An ECS instance as the provider last showed it, with its system disk. Sizes are in GiB."""

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, related_name="instances")
    region = models.CharField(max_length=64)
    zone = models.CharField(max_length=64, blank=True)
    instance_id = models.CharField(max_length=64)
    name = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=16)
    stopped_mode = models.CharField(max_length=24, blank=True)
    instance_type = models.CharField(max_length=64)
    architecture = models.CharField(max_length=16, blank=True)
    os_type = models.CharField(max_length=16)
    os_name = models.CharField(max_length=200, blank=True)
    image_id = models.CharField(max_length=128)
    io_optimized = models.BooleanField(default=True)
    charge_type = models.CharField(max_length=16)
    expires_at = models.DateTimeField(null=True)
    key_pair = models.CharField(max_length=128, blank=True)
    private_ip = models.CharField(max_length=64, blank=True)
    public_ip = models.CharField(max_length=64, blank=True)
    tags = models.JSONField(default=dict)
    environment = models.CharField(max_length=64, blank=True, help_text="The value of the tag env")
    locks = ArrayField(models.CharField(max_length=32), default=list)
    created_at = models.DateTimeField(null=True)

    disk_id = models.CharField(max_length=64, blank=True)
    disk_size = models.PositiveIntegerField(default=0)
    disk_category = models.CharField(max_length=32, blank=True)
    disk_performance_level = models.CharField(max_length=8, blank=True)
    disk_snapshot_policy = models.CharField(max_length=64, blank=True)
    disk_delete_auto_snapshot = models.BooleanField(default=False)
    disk_tags = models.JSONField(default=dict)
    disk_snapshot_running = models.BooleanField(default=False)
    data_disks = models.PositiveIntegerField(default=0)
    data_disk_size = models.PositiveIntegerField(default=0)

    search = models.TextField(blank=True, help_text="Name, ids, addresses and tags in lower case, for free text")
    seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    objects = MirroredQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "instance_id"], name="instance_once")]
        indexes = [
            models.Index(fields=["name", "id"], condition=models.Q(gone_at=None), name="instance_by_name"),
            models.Index(fields=["account", "region", "id"], name="instance_by_region"),
            models.Index(fields=["instance_id"], name="instance_by_id"),
        ]

    def __str__(self) -> str:
        return self.name or self.instance_id


class SystemDisk(models.Model):
    """A system disk that a machine has or had: the history of its disks. `size` is in GiB."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="disks")
    disk_id = models.CharField(max_length=64)
    image_id = models.CharField(max_length=128)
    os_name = models.CharField(max_length=200, blank=True)
    size = models.PositiveIntegerField()
    category = models.CharField(max_length=32, blank=True)
    created_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "disk_id"], name="disk_once")]


class DataDisk(models.Model):
    """A data disk; `attached_to` is the instance id of its machine, if it has one. `size` is in GiB."""

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, related_name="data_disks")
    region = models.CharField(max_length=64)
    disk_id = models.CharField(max_length=64)
    attached_to = models.CharField(max_length=64, blank=True)
    size = models.PositiveIntegerField()
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "disk_id"], name="data_disk_once")]
        indexes = [models.Index(fields=["account", "attached_to"], name="data_disk_by_machine")]


class InstanceType(models.Model):
    """An instance type; its architecture is `x86_64` or `arm64`, as images say it. `memory` is in MiB."""

    name = models.CharField(max_length=64, primary_key=True)
    architecture = models.CharField(max_length=16)
    cpu = models.PositiveIntegerField(default=0)
    memory = models.PositiveIntegerField(default=0)


class Image(models.Model):
    """An image as one region of one account shows it. `size` is in GiB.

    `supported_types` are the instance types that it can be installed on; None as long as that is not known.
    """

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, related_name="images")
    region = models.CharField(max_length=64)
    image_id = models.CharField(max_length=128)
    name = models.CharField(max_length=200, blank=True)
    os_type = models.CharField(max_length=16)
    os_name = models.CharField(max_length=200)
    platform = models.CharField(max_length=64, blank=True)
    architecture = models.CharField(max_length=16)
    size = models.PositiveIntegerField()
    owner = models.CharField(max_length=16, help_text="system, self, others or marketplace")
    status = models.CharField(max_length=16)
    subscribed = models.BooleanField(default=False)
    product_code = models.CharField(max_length=64, blank=True)
    io_optimized = models.BooleanField(default=True)
    data_disk_snapshots = models.BooleanField(default=False)
    supported_types = ArrayField(models.CharField(max_length=64), null=True)
    created_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    objects = MirroredQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "region", "image_id"], name="image_once")]
        indexes = [models.Index(fields=["image_id"], name="image_by_id")]

    def __str__(self) -> str:
        return self.os_name or self.image_id


class KeyPair(models.Model):
    """A key pair as one region of one account shows it."""

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, related_name="key_pairs")
    region = models.CharField(max_length=64)
    name = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=128, blank=True)
    seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    objects = MirroredQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "region", "name"], name="key_pair_once")]


class Snapshot(models.Model):
    """A snapshot that we took of a system disk before the disk was replaced: with it the replacement can be undone.

    `size` is in GiB. What the disk held is kept beside it (`image_id`, `os_name`, `architecture`), since disk and image may be
    gone when it is needed. `made_image_id` is the image that was made from it to put it back.
    """

    account = models.ForeignKey("fleet.Account", on_delete=models.CASCADE, related_name="snapshots")
    region = models.CharField(max_length=64)
    snapshot_id = models.CharField(max_length=64)
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="snapshots")
    replacement = models.OneToOneField(
        "fleet.Replacement", on_delete=models.PROTECT, null=True, related_name="snapshot"
    )
    disk_id = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    image_id = models.CharField(max_length=128, blank=True)
    os_type = models.CharField(max_length=16)
    os_name = models.CharField(max_length=200, blank=True)
    architecture = models.CharField(max_length=16, blank=True)
    ready_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)
    made_image_id = models.CharField(max_length=128, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "snapshot_id"], name="snapshot_once")]
        indexes = [models.Index(fields=["expires_at"], condition=models.Q(gone_at=None), name="snapshot_by_expiry")]
