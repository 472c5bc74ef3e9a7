"""The images of a region: public ones in every region, and the account's own, shared and bought ones."""

from random import Random

from fleet.emulator.world.catalogue import RAW
from fleet.emulator.world.ids import seeded_id
from fleet.emulator.world.resources import Image

DAY = 86400.0


def public_images(region: str, now: float) -> list[Image]:
    """Return the vendor's images."""
    images = []
    for image_id, platform, architecture, name, size, family in RAW["public_images"]:
        age = (now - 1735689600.0) if now > 1735689600.0 else DAY
        images.append(
            Image(
                image_id,
                region,
                image_id.removesuffix(".vhd"),
                "system",
                "windows" if platform.startswith("Windows") else "linux",
                platform,
                architecture,
                f"{name}位",
                f"{name} bit",
                size,
                now - age,
                now - age,
                family=family,
            )
        )
    return images


def own_images(region: str, prefix: str, now: float, rng: Random) -> list[Image]:
    """Return the account's custom images, a shared one, and one from the market, bought."""
    images = []
    for name, owner, platform, architecture, os_name, size, family, description in RAW["own_images"]:
        made = now - rng.randint(30, 900) * DAY
        images.append(
            Image(
                f"m-{prefix}{name.replace('-', '').replace('.', '')}",
                region,
                name,
                owner,
                "windows" if platform.startswith("Windows") else "linux",
                platform,
                architecture,
                f"{os_name}位",
                f"{os_name} bit",
                size,
                made,
                made,
                family=family,
                description=description,
                product_code="cmjj024471" if owner == "marketplace" else "",
                is_subscribed=owner == "marketplace",
                has_password=owner == "self",
                status="Deprecated" if name.endswith("2023-11") else "Available",
                source_snapshot_id=seeded_id("s", prefix, rng) if owner == "self" else "",
            )
        )
    return images


def case_images(region: str, prefix: str, now: float, rng: Random) -> list[Image]:
    """Return an image for each refusal that depends on the state of an image, tagged case=<ErrorCode>."""

    def image(code: str, **state: object) -> Image:
        made = now - rng.randint(30, 300) * DAY
        fields: dict[str, object] = {
            "id": seeded_id("m", prefix, rng),
            "region": region,
            "name": "case-" + code.lower().replace(".", "-"),
            "owner": "self",
            "os_type": "linux",
            "platform": "Ubuntu",
            "architecture": "x86_64",
            "os_name": "Ubuntu  22.04 64位",
            "os_name_en": "Ubuntu  22.04 64 bit",
            "size": 20,
            "created_at": made,
            "ready_at": made,
            "description": f"A replacement with this image earns {code}",
            "tags": {"case": code},
            "has_password": True,
        }
        return Image(**{**fields, **state})  # type: ignore[arg-type]

    market = {"owner": "marketplace", "product_code": "cmjj000001"}
    return [
        image("InvalidParameter.Conflict", architecture="arm64"),
        image("InvalidSystemDiskSize.ImageNotSupportResize", not_resizable=True),
        image("OperationDenied.400", data_snapshots=((seeded_id("s", prefix, rng), "/dev/xvdb", 100),)),
        image("ImageNotSubscribed", **market),
        image("ImageNotSupportInstanceType", type_families=("ecs.ebmg7",)),
        image("ImageRemovedInMarket", **{**market, "is_subscribed": True, "removed_from_market": True}),
        image("IoOptimized.NotSupported", io_optimized=False),
        image("QuotaExceed.BuyImage", **{**market, "is_subscribed": True, "buy_quota_exceeded": True}),
    ]
