"""DescribeImages, DescribeImageSupportInstanceTypes, CreateImage."""

import re
from collections.abc import Callable
from typing import Any

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.matching import all_of, check_dry_run, name_matches, tag_list, tags_match
from fleet.emulator.contract.paging import cut, page_of
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import common_error, missing, not_valid
from fleet.emulator.wire.times import to_second
from fleet.emulator.world.catalogue import REGIONS, TYPES, TypeFacts, fits, type_facts
from fleet.emulator.world.ids import new_id
from fleet.emulator.world.resources import Image, Snapshot

NAME = re.compile(r"[^\W\d_][\w:.\- ]{1,127}")
STATUSES = ("Creating", "Waiting", "Available", "UnAvailable", "CreateFailed", "Deprecated")


@action(
    "DescribeImages",
    scope="region",
    honoured=(
        "ImageId Status ImageName ImageFamily ImageOwnerAlias OSType Architecture SnapshotId IsSupportIoOptimized "
        "IsSupportCloudinit IsPublic InstanceType ActionType Tag.N.Key Tag.N.Value PageNumber PageSize DryRun"
    ),
    ignored="Usable Usage ResourceGroupId ImageOwnerId ShowExpired Filter.N.Key Filter.N.Value",
)
def describe_images(call: Call) -> Answer:
    """List images, the available ones if no status is asked for; with ActionType=ChangeOS and a type, those that fit."""
    check_dry_run(call.params)
    among = list(call.region.images.values())
    if ids := call.params.get("ImageId"):
        wanted = ids.split(",")
        if len(wanted) > 50:
            raise not_valid("ImageId")
        among = [call.region.images[i] for i in dict.fromkeys(wanted) if i in call.region.images]
    found, fields = cut(page_of(call.params), among, all_of(_tests(call)))
    del fields["NextToken"]
    views = [image_view(image, call) for image in found]
    return {"Images": {"Image": views}, "RegionId": call.region.id, **fields}


@action(
    "DescribeImageSupportInstanceTypes",
    scope="region",
    honoured="ImageId ActionType",
    ignored="Filter.N.Key Filter.N.Value",
)
def describe_image_support_instance_types(call: Call) -> Answer:
    """List the instance types on which an image runs."""
    image = call.region.images.get(call.params.require("ImageId"))
    if image is None:
        raise common_error("InvalidImageId.NotFound")
    call.params.choice("ActionType", "CreateEcs", "ChangeOS")
    types = [
        {"InstanceTypeId": one.id, "InstanceTypeFamily": one.family} for one in TYPES.values() if runs_on(image, one)
    ]
    return {"ImageId": image.id, "RegionId": call.region.id, "InstanceTypes": {"InstanceType": types}}


def runs_on(image: Image, one: TypeFacts) -> bool:
    """Say whether an image supports an instance type: by architecture and by its list of families."""
    return fits(image.architecture, one.id) and (not image.type_families or one.family in image.type_families)


def _tests(call: Call) -> list[Callable[[Image], bool]]:
    params, now = call.params, call.now
    status = params.get("Status", "Available").split(",")
    tests: list[Callable[[Image], bool]] = []
    if status != ["ALL"]:
        if not set(status) <= set(STATUSES):
            raise common_error("InvalidStatus.ValueNotSupported")
        tests.append(lambda image: image.status_at(now) in status)
    if name := params.get("ImageName"):
        tests.append(lambda image: name_matches(name, image.name))
    if family := params.get("ImageFamily"):
        tests.append(lambda image: image.family == family)
    if owner := params.choice("ImageOwnerAlias", "system", "self", "others", "marketplace"):
        tests.append(lambda image: image.owner == owner)
    if os_type := params.choice("OSType", "windows", "linux"):
        tests.append(lambda image: image.os_type == os_type)
    if architecture := params.choice("Architecture", "i386", "x86_64", "arm64"):
        tests.append(lambda image: image.architecture == architecture)
    if snapshot := params.get("SnapshotId"):
        tests.append(lambda image: image.source_snapshot_id == snapshot)
    if (optimized := params.boolean("IsSupportIoOptimized")) is not None:
        tests.append(lambda image: image.io_optimized == optimized)
    if (cloud_init := params.boolean("IsSupportCloudinit")) is not None:
        tests.append(lambda image: image.cloud_init == cloud_init)
    if (public := params.boolean("IsPublic")) is not None:
        tests.append(lambda image: (image.owner == "system") == public)
    params.choice("ActionType", "CreateEcs", "ChangeOS")
    if type_id := params.get("InstanceType"):
        facts = type_facts(type_id)
        tests.append(lambda image: runs_on(image, facts))
    if tags := params.tags():
        tests.append(lambda image: tags_match(tags, image.tags))
    return tests


def image_view(image: Image, call: Call) -> dict[str, Any]:
    """Return an image as DescribeImages shows it; sizes of mappings are text."""
    status = image.status_at(call.now)
    progress = "100%" if call.now >= image.ready_at else _progress(image.created_at, image.ready_at, call.now)
    mappings = []
    if image.source_snapshot_id or image.data_snapshots:
        rows = [("system", image.source_snapshot_id, "/dev/xvda", image.size)]
        rows += [("data", snapshot, device, size) for snapshot, device, size in image.data_snapshots]
        mappings = [
            {"Type": kind, "SnapshotId": one, "Device": device, "Size": str(size), "Progress": "", "Format": ""}
            for kind, one, device, size in rows
        ]
    return {
        "ImageId": image.id,
        "ImageName": image.name,
        "ImageFamily": image.family,
        "ImageVersion": "",
        "Description": image.description,
        "Size": image.size,
        "ImageOwnerAlias": image.owner,
        "ImageOwnerId": 1000000000000000,
        "OSType": image.os_type,
        "Platform": image.platform,
        "Architecture": image.architecture,
        "OSName": image.os_name,
        "OSNameEn": image.os_name_en,
        "Status": status,
        "Progress": progress,
        "CreationTime": to_second(image.created_at),
        "IsPublic": image.owner == "system",
        "IsCopied": False,
        "IsSelfShared": "False",
        "IsSubscribed": image.is_subscribed,
        "IsSupportCloudinit": image.cloud_init,
        "IsSupportIoOptimized": image.io_optimized,
        "LoginAsNonRootSupported": False,
        "BootMode": "UEFI" if image.architecture == "arm64" else "BIOS",
        "ProductCode": image.product_code,
        "ResourceGroupId": "",
        "Usage": "instance" if call.region.image_users[image.id] > 0 else "none",
        "Features": {"NvmeSupport": "unsupported"},
        "DiskDeviceMappings": {"DiskDeviceMapping": mappings},
        "Tags": tag_list(image.tags),
    }


def _progress(begun: float, ends: float, now: float) -> str:
    return f"{int(100 * (now - begun) / (ends - begun))}%"


@action(
    "CreateImage",
    scope="snapshot",
    honoured=(
        "SnapshotId InstanceId ImageName ImageFamily Description Platform Architecture ClientToken Tag.N.Key "
        "Tag.N.Value DryRun"
    ),
    ignored=(
        "SecureBootOptions.SecureBootSupport "
        "ResourceGroupId Features.ImdsSupport BootMode DetectionStrategy ImageVersion DiskDeviceMapping.N.SnapshotId "
        "DiskDeviceMapping.N.Size DiskDeviceMapping.N.DiskType DiskDeviceMapping.N.Device"
    ),
    changes=True,
)
def create_image(call: Call) -> Answer:
    """Make a custom image of a snapshot or an instance: the way back after a replacement."""
    params, region, now = call.params, call.region, call.now
    name = params.get("ImageName")
    if name and not NAME.fullmatch(name):
        raise common_error("InvalidImageName.Malformed")
    if name and any(image.name == name and image.owner == "self" for image in region.images.values()):
        raise common_error("InvalidImageName.Duplicated")
    if params.get("SnapshotId"):
        snapshot = region.snapshots.get(params.get("SnapshotId"))
        if snapshot is None or not snapshot.exists(now):
            raise common_error("InvalidSnapshotId.NotFound")
        if now < snapshot.done_at:
            raise common_error("IncorrectImageStatus")
        disk, source = region.disks[snapshot.disk_id], snapshot.id
    elif params.get("InstanceId"):
        instance = region.instances.get(params.get("InstanceId"))
        if instance is None:
            raise common_error("InvalidInstanceId.NotFound")
        disk = region.disks[instance.system.at(now).disk_id]
        made = Snapshot(
            new_id("s", REGIONS[region.id].prefix), region.id, "", disk.id, disk.kind, disk.size, "user", now,
            now + call.settings.lasts("snapshot"),
        )  # fmt: skip
        source = made.id
        region.add(made)
    else:
        raise missing("SnapshotId")
    check_dry_run(params)
    base = region.images.get(disk.image_id)
    image = Image(
        new_id("m", REGIONS[region.id].prefix),
        region.id,
        name or f"image-{source}",
        "self",
        base.os_type if base else "linux",
        params.get("Platform") or (base.platform if base else "Others Linux"),
        params.choice("Architecture", "i386", "x86_64", "arm64") or (base.architecture if base else "x86_64"),
        base.os_name if base else "Linux",
        base.os_name_en if base else "Linux",
        disk.size,
        now,
        now + call.settings.lasts("image"),
        family=params.get("ImageFamily"),
        description=params.get("Description"),
        product_code=base.product_code if base else "",
        source_snapshot_id=source,
        tags=dict(params.tags()),
        has_password=True,
    )
    region.add(image)
    call.effect = True
    return {"ImageId": image.id}
