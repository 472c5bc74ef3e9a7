"""Probing an account: may its key do what is needed, and does the API answer as we expect? Nothing is changed.

The reading calls are made. Of the calls that change something, those with a dry run are tried by it; of the others the report
says that they cannot be tried.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from fleet.cloud import CloudError, EcsClient, InstanceView, Retryability
from fleet.cloud.dry_run import dry_run
from fleet.cloud.errors import UNREADABLE
from fleet.inventory import quota
from fleet.inventory.credentials import client_for
from fleet.models import Account

FINE, NOTE, FAULT = "fine", "note", "fault"
QUOTA = 200  # ReplaceSystemDisk calls a minute and region that the provider allows an account
TAG = ("fleet-os", "allowed")
# They have no dry run: only when they are made does it show whether they are allowed.
UNASKED = (
    "ReplaceSystemDisk",
    "CreateSnapshot",
    "ApplyAutoSnapshotPolicy",
    "TagResources",
    "AttachKeyPair",
    "RunCommand",
)
DRY = "dry run"
DENIED = ("Forbidden", "NoPermission", "Unauthorized")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: the right as RAM names it, the region, whether it is fine, and what to know about it."""

    right: str
    region: str
    level: str  # FINE, NOTE or FAULT
    words: str


def probe(account: Account, now: datetime) -> Iterator[Finding]:
    """Yield what is found about an account, region by region, as soon as it is found."""
    known: set[str] = set()
    if account.replace_quota > QUOTA:
        words = f"{account.replace_quota:,} calls a minute are allowed here, and the provider allows {QUOTA}"
        yield Finding("quota of ReplaceSystemDisk", "", FAULT, words)
    for region in account.regions:
        try:
            client = client_for(account, region)
        except (CloudError, ValueError) as fault:
            yield Finding("credential", region, FAULT, str(getattr(fault, "message", fault)))
            return
        if not known:
            yield _asked("ecs:DescribeRegions", region, partial(_note_regions, client, known))
            for unknown in [name for name in account.regions if known and name not in known]:
                yield Finding("region", unknown, FAULT, "the account's API knows no such region")
        yield from _region(account, region, client, now)


def _note_regions(client: EcsClient, known: set[str]) -> None:
    known.update(view.region_id for view in client.describe_regions())


def _region(account: Account, region: str, client: EcsClient, now: datetime) -> Iterator[Finding]:
    machines: list[InstanceView] = []
    images: list[str] = []
    snapshots: list[str] = []
    yield _asked("ecs:DescribeInstances", region, lambda: machines.extend(client.describe_instances()[0]))
    disk_of = machines[0].instance_id if machines else ""
    yield _asked(
        "ecs:DescribeDisks", region, lambda: client.describe_disks(instance_id=disk_of, kind="system"), "one machine's"
    )
    yield _asked(
        "ecs:DescribeImages", region, lambda: images.extend(view.image_id for view in client.describe_images()[0])
    )
    if images:
        yield _asked(
            "ecs:DescribeImageSupportInstanceTypes", region, lambda: client.image_support_types(image_id=images[0])
        )
    yield _asked("ecs:DescribeInstanceTypes", region, client.describe_instance_types)
    yield _asked("ecs:DescribeKeyPairs", region, client.describe_key_pairs)
    yield _asked(
        "ecs:DescribeSnapshots",
        region,
        lambda: snapshots.extend(view.snapshot_id for view in client.describe_snapshots(progressing=False)[0]),
    )
    yield from _mutating(account, region, client, machines, snapshots)
    used = quota.used(account, region, "ReplaceSystemDisk", now=now)
    words = f"{used:,} of {account.replace_quota:,} used in this minute; the provider allows {QUOTA}"
    yield Finding("quota of ReplaceSystemDisk", region, FINE, words)


def _mutating(
    account: Account, region: str, client: EcsClient, machines: list[InstanceView], snapshots: list[str]
) -> Iterator[Finding]:
    key, value = TAG
    tagged = [machine for machine in machines if machine.tags.get(key) == value]
    words = f"{len(tagged):,} of the first {len(machines):,} machines carry {key}={value}"
    guarded = not account.guard_lifted
    yield Finding("guard", region, NOTE if guarded and not tagged else FINE, words if guarded else f"lifted; {words}")
    usable = tagged or ([] if guarded else machines)
    # A dry run is refused for a machine that is in the wanted state already: each is tried on one that is not.
    for action, status in (("StopInstances", "Running"), ("StartInstances", "Stopped")):
        ids = [machine.instance_id for machine in usable if machine.status == status and not machine.locks][:1]
        if ids:
            yield _asked(f"ecs:{action}", region, partial(dry_run, client, action, ids=ids), DRY)
        else:
            yield Finding(f"ecs:{action}", region, NOTE, f"not asked: no {status.lower()} machine that may be changed")
    if snapshots:
        asks = partial(dry_run, client, "CreateImage", snapshot_id=snapshots[0])
        yield _asked("ecs:CreateImage", region, asks, DRY)
    else:
        yield Finding("ecs:CreateImage", region, NOTE, "not asked: there is no snapshot to ask it of")
    for action in UNASKED:
        yield Finding(f"ecs:{action}", region, NOTE, "not asked: the API has no dry run of it")


def _asked(right: str, region: str, ask: Callable[[], object], words: str = "") -> Finding:
    try:
        ask()
    except CloudError as error:
        if error.code.startswith(DENIED):
            return Finding(right, region, FAULT, f"missing: grant {right} in RAM ({error.code})")
        if words == DRY and error.retryability is Retryability.REFUSED:
            # The API looks at rights before it looks at the machine: only this machine would be refused.
            return Finding(right, region, NOTE, f"dry run refused for this one machine: {error}")
        if error.code == UNREADABLE:
            return Finding(right, region, FAULT, f"{error.message} Fields are missing or of another type.")
        return Finding(right, region, FAULT, str(error))
    return Finding(right, region, FINE, words)
