"""Instances with their disks: ordinary ones drawn from the catalogue, and builders that the special ones share."""

from dataclasses import dataclass, field
from random import Random

from fleet.emulator.world.catalogue import RAW, REGIONS
from fleet.emulator.world.ids import seeded_id
from fleet.emulator.world.region import Region
from fleet.emulator.world.resources import Disk, Hidden, Image, Instance, System
from fleet.emulator.world.timeline import Timeline

DAY = 86400.0
NEVER_EXPIRES = 4102415940.0  # 2099-12-31T15:59Z, as the API shows it for pay-as-you-go
ENVIRONMENTS = (("prod", 0.6), ("staging", 0.25), ("dev", 0.15))


@dataclass(slots=True)
class Plan:
    """What one machine is to be; `build` derives everything else."""

    name: str
    image: Image
    type_id: str
    status: str = "Running"
    stopped_mode: str = "KeepCharging"
    charge_type: str = "PostPaid"
    expires_at: float = NEVER_EXPIRES
    size: int = 40
    category: str = "cloud_essd"
    level: str = "PL1"
    key_pair: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    disk_tags: dict[str, str] = field(default_factory=dict)
    data_disks: int = 0
    policy_id: str = ""
    delete_auto_snapshot: bool = False
    public_ip: str = ""
    hidden: Hidden | None = None
    locks: list[tuple[str, str]] = field(default_factory=list)
    age_days: float = 400.0
    id: str = ""
    disk_id: str = ""


def build(region: Region, plan: Plan, number: int, now: float, rng: Random) -> Instance:
    """Put a machine and its disks into a region."""
    facts = REGIONS[region.id]
    zone = facts.zones[number % len(facts.zones)]
    made = now - plan.age_days * DAY
    instance_id = plan.id or seeded_id("i", facts.prefix, rng)
    disk_id = plan.disk_id or seeded_id("d", facts.prefix, rng)
    image = plan.image
    key = plan.key_pair if image.os_type == "linux" else ""
    system = System(
        disk_id,
        image.id,
        image.os_type,
        image.os_name,
        image.os_name_en,
        key_pair=key,
        password_set=not key,
        password_login=not key,
    )
    instance = Instance(
        instance_id,
        region.id,
        zone,
        number,
        plan.name,
        plan.type_id,
        plan.charge_type,
        made,
        made,
        plan.expires_at,
        Timeline((made, plan.status)),
        Timeline((made, system)),
        stopped_mode=plan.stopped_mode,
        public_ip="" if plan.stopped_mode == "StopCharging" else plan.public_ip,
        tags=plan.tags,
        locks=plan.locks,
        hidden=plan.hidden,
    )
    region.add(
        Disk(
            disk_id,
            region.id,
            zone,
            instance_id,
            "system",
            plan.category,
            plan.level,
            plan.size,
            image.id,
            plan.charge_type,
            made,
            made + 5,
            tags=plan.disk_tags,
            policy_id=plan.policy_id,
            delete_auto_snapshot=plan.delete_auto_snapshot,
        )
    )
    for index in range(plan.data_disks):
        data = Disk(
            seeded_id("d", facts.prefix, rng),
            region.id,
            zone,
            instance_id,
            "data",
            "cloud_essd",
            "PL1",
            200,
            "",
            plan.charge_type,
            made,
            made + 6,
            device=f"/dev/xvd{'bcdef'[index]}",
        )
        region.add(data)
        instance.data_disk_ids = (*instance.data_disk_ids, data.id)
    region.add(instance)
    return instance


class Drawer:
    """Draws ordinary machines for one region."""

    def __init__(self, region: Region, now: float, rng: Random, *, plain: bool) -> None:
        self.region = region
        self.now = now
        self.rng = rng
        self.plain = plain
        self.policies = list(region.policies)
        self.services = RAW["services"]
        self.weights = [service[2] for service in self.services]
        self.images = {
            start: next(image for image in region.images.values() if image.id.startswith(start))
            for service in self.services
            for start in service[4]
        }
        self.golden = [i for i in region.images.values() if i.name.startswith("golden") and i.status == "Available"]
        self.web_types = self.services[0][3]
        self.web_images = [self.images[start] for start in self.services[0][4]]

    def plain_plan(self, number: int) -> Plan:
        """Return a running x86 Linux web machine in production with a disk of 40 GiB and nothing special."""
        return Plan(
            f"web-prod-{number:04d}",
            self.web_images[number % len(self.web_images)],
            self.web_types[number % len(self.web_types)],
            key_pair="ops-2026",
            tags={"service": "web", "env": "prod", "team": "storefront", "fleet-os": "allowed"},
            public_ip=f"203.0.113.{number % 254 + 1}" if number % 4 == 0 else "",
            age_days=200.0 + number % 500,
        )

    def plan(self, number: int) -> Plan:
        """Return the next machine; a third of a fleet is plain."""
        if self.plain or number % 3 == 0:
            return self.plain_plan(number)
        rng = self.rng
        name, team, _, types, images = rng.choices(self.services, self.weights)[0]
        env = rng.choices([e for e, _ in ENVIRONMENTS], [w for _, w in ENVIRONMENTS])[0]
        image = self.images[rng.choice(images)]
        type_id = rng.choice(types)
        if rng.random() < 0.12:
            fitting = [i for i in self.golden if (i.architecture, i.os_type) == (image.architecture, image.os_type)]
            image = rng.choice(fitting) if fitting else image
        plan = Plan(f"{name}-{env}-{number:04d}", image, type_id, age_days=rng.uniform(20, 1400))
        plan.tags = {"service": name, "env": env, "team": team}
        if rng.random() < 0.85:
            plan.tags["fleet-os"] = "allowed"
        plan.size = max(image.size, rng.choice((40, 40, 40, 60, 80, 100, 120)))
        if rng.random() < 0.2:
            plan.category, plan.level = rng.choice((("cloud_efficiency", ""), ("cloud_ssd", "")))
        if rng.random() < 0.35:
            plan.charge_type = "PrePaid"
            plan.expires_at = self.now + rng.randint(10, 600) * DAY
        if rng.random() < 0.7:
            plan.key_pair = rng.choice(("ops-2026", "ops-2026", "ops-2024"))
        if name in ("db", "batch", "media"):
            plan.data_disks = rng.choice((1, 1, 2))
        if env == "prod" and rng.random() < 0.5:
            plan.policy_id = rng.choice(self.policies)
            plan.delete_auto_snapshot = rng.random() < 0.3
        if rng.random() < 0.2:
            plan.disk_tags = {"cost-centre": rng.choice(("4100", "4200", "7300"))}
        if rng.random() < 0.3:
            plan.public_ip = f"198.51.100.{number % 254 + 1}"
        if env != "prod" and rng.random() < 0.15:
            plan.status = "Stopped"
        return plan
