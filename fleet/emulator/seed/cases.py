"""The special machines: the example's, plain stopped ones, and one tagged case=<ErrorCode> for each refusal by state."""

from collections.abc import Iterator
from math import inf
from random import Random

from fleet.emulator.seed.machines import DAY, Plan
from fleet.emulator.world.catalogue import REGIONS
from fleet.emulator.world.ids import seeded_id
from fleet.emulator.world.region import Region
from fleet.emulator.world.resources import Hidden, Image, Snapshot

EXAMPLE_INSTANCE = "i-23jggx34b"
EXAMPLE_IMAGE = "m-myimage11"


def example_image(region: str, now: float) -> Image:
    """Return the image of the reference's request example."""
    made = now - 90 * DAY
    return Image(
        EXAMPLE_IMAGE,
        region,
        "myimage11",
        "self",
        "linux",
        "Ubuntu",
        "x86_64",
        "Ubuntu  24.04 64位",
        "Ubuntu  24.04 64 bit",
        20,
        made,
        made,
        description="The image of the reference's request example",
        has_password=True,
    )


def special_plans(region: Region, now: float) -> Iterator[Plan]:
    """Yield the special machines of the first region, the most wanted first."""
    ubuntu = next(image for image in region.images.values() if image.id.startswith("ubuntu_22_04_x64"))
    centos = next(image for image in region.images.values() if image.id.startswith("centos_7_9_x64"))
    owned = {"service": "web", "env": "staging", "team": "storefront", "fleet-os": "allowed"}
    stopped = {"image": ubuntu, "type_id": "ecs.g7.large", "status": "Stopped", "key_pair": "ops-2026"}

    def plan(name: str, **more: object) -> Plan:
        return Plan(name, **{**stopped, "tags": dict(owned), **more})  # type: ignore[arg-type]

    def case(code: str, **more: object) -> Plan:
        tags = {"service": "case", "env": "dev", "team": "platform", "fleet-os": "allowed", "case": code}
        return plan("case-" + code.lower().replace(".", "-").replace("_", "-"), tags=tags, **more)

    yield plan("example", id=EXAMPLE_INSTANCE, disk_id="d-23jbf2v5l", image=centos)
    yield plan("web-staging-stopped-1")
    yield plan("web-staging-stopped-2", image=centos)
    yield plan("web-staging-stopped-3")
    yield plan("web-staging-economical", stopped_mode="StopCharging", hidden=Hidden(no_stock=True))
    yield case("IncorrectInstanceStatus", status="Running")
    yield case("InstanceLockedForSecurity", locks=[("security", "The instance is locked for security reasons.")])
    yield case("Instanceexpiredorinarrears", charge_type="PrePaid", expires_at=now - 3 * DAY)
    yield case(
        "INST_HAS_UNPAID_ORDER", charge_type="PrePaid", hidden=Hidden(unpaid_order=True), expires_at=now + 60 * DAY
    )
    yield case("ChargeTypeViolation", hidden=Hidden(charge_type_violation=True))
    yield case("DiskCreatingSnapshot")
    yield case("OperationDenied.500", hidden=Hidden(internal_error=True))


def add_snapshots(region: Region, now: float, rng: Random) -> None:
    """Add snapshots: one that is never done for its case, and some old ones of disks under a policy."""
    prefix = REGIONS[region.id].prefix
    for disk in list(region.disks.values()):
        instance = region.instances.get(disk.instance_id)
        if disk.kind != "system" or instance is None:
            continue
        in_progress = instance.tags.get("case") == "DiskCreatingSnapshot"
        if not in_progress and not (disk.policy_id and rng.random() < 0.5):
            continue
        age = 0.01 if in_progress else rng.uniform(0.2, 6)
        made = now - age * DAY
        region.add(
            Snapshot(
                seeded_id("s", prefix, rng),
                region.id,
                f"auto2.0_{disk.id[2:]}",
                disk.id,
                "system",
                disk.size,
                "user" if in_progress else "auto",
                made,
                inf if in_progress else made + 300,
                retention_days=0 if in_progress else 7,
            )
        )
