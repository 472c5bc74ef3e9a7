"""Two independent readings of one contract agree: what we warn of is what the emulator refuses, case by case.

The emulator is asked within this process; our rules see only what its Describe calls show. Not visible in any
Describe call, and therefore in no case here: INVISIBLE. A running machine is refused by the API and not by us: the engine
stops it first.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any

import pytest

from fleet.changes.judging.editions import EDITIONS
from fleet.changes.judging.facts import machine_of
from fleet.changes.judging.refusals import DiskRequest, password_problem, refusals, size_problem_of_text
from fleet.cloud import parse
from fleet.inventory.store import image_row, instance_row, put_disk
from fleet.lib.secret import Secret
from fleet.models import Account, Image, Instance
from tests.support.emulator_here import EmulatorHere
from tests.support.torture import seed

INVISIBLE = {
    "ChargeTypeViolation": "the billing method alone does not tell",
    "INST_HAS_UNPAID_ORDER": "orders are shown by no ECS call",
    "QuotaExceed.BuyImage": "the quota of a market image is shown by no ECS call",
    "ImageRemovedInMarket": "the image is still listed",
    "InvalidSystemDiskSize.ImageNotSupportResize": "no field of an image says so",
    "a missing inherited password": "no field of an image says whether it has one",
    "OperationDenied (500)": "an error inside the provider",
    "arrears of a postpaid account": "shown only once the lock is there",
}
CASES = 4_000  # of each edition
MACHINE, IMAGE = "i-23jggx34b", "m-myimage11"
TYPES = ["ecs.g7.large", "ecs.c6.large", "ecs.g8y.large"]
MISSING = {"InvalidInstanceId.NotFound", "InvalidImageId.NotFound", "NoSuchResource", "InvalidKeyPairName.NotFound"}
TYPES_TO_ARCHITECTURE = {"ecs.g8y.large": "arm64"}


@dataclass(frozen=True)
class Case:
    """A state of the world and a request."""

    machine: dict[str, Any]
    image: dict[str, Any]
    image_id: str
    size: str
    password: str
    inherit: bool
    key_pair: str


Values = Callable[[Random], Any]


def one_of(*values: Any) -> Values:
    return lambda draw: draw.choice(values)


def mostly(normal: Any, *others: Any) -> Values:
    """Draw the normal value more often than not: a case with one fault says more than one with ten."""
    return one_of(*[normal] * (2 * len(others)), *others)


def text(draw: Random) -> str:
    """Draw up to 32 characters: half of them such as a keyboard has, else of ASCII or beyond; no NUL, no half of a pair."""
    keyboard, plain, low, high = range(33, 127), range(1, 128), range(128, 0xD800), range(0xE000, 0x110000)
    alphabet = draw.choice((keyboard, keyboard, keyboard, plain, low, high))
    return "".join(chr(draw.choice(alphabet)) for _ in range(draw.randint(1, 32)))


DISK = {
    "Size": one_of(20, 40, 60, 100, 500),
    "Category": one_of("cloud", "cloud_ssd", "cloud_efficiency", "cloud_essd", "cloud_auto"),
    "PerformanceLevel": one_of("PL0", "PL1", "PL2", "PL3"),
    "SnapshotInProgress": mostly(False, True),
}
MACHINES = {
    "Status": mostly("Stopped", "Pending", "Starting", "Stopping"),
    "InstanceType": mostly(*TYPES),
    "IoOptimized": mostly(True, False),
    "OperationLocks": mostly([], ["security"], ["financial"], ["Recycling"], ["Recycling", "security"]),
    "ExpiredTime": mostly("2030-01-01T00:00Z", "2020-01-01T00:00Z"),
}
IMAGES = {
    "Size": one_of(5, 20, 40, 41, 80, 500, 600),
    "OSType": mostly("linux", "windows"),
    "Architecture": mostly("x86_64", "arm64", "i386"),
    "ImageOwnerAlias": mostly("self", "system", "others", "marketplace"),
    "IsSubscribed": one_of(True, False),
    "IsSupportIoOptimized": mostly(True, False),
    "DataDiskSnapshots": mostly([], ["s-1"]),
    "InstanceTypeFamilies": mostly([], ["ecs.g7"], ["ecs.c6", "ecs.g8y"]),
    "Status": mostly("Available", "UnAvailable", "Deprecated", "Creating", "CreateFailed"),
}
PASSWORDS = mostly(
    "", "Abcdef12", "abcdef12", "ABCDEF_1", "Abcdef_12", "Ab1", "Abcdef 12", "/Abcdef12", "Ab1" * 11, "Äbcdef12", "Abcdef1'"
)  # fmt: skip
NUMBERS = ("19", "20", "39", "41", "60", "100", "460", "461", "500", "501", "1260", "1261", "2048", "2049")
SIZES = (mostly("", "40"), one_of(*NUMBERS, "x", "40.0", "+40", " 40"))


def case_of(draw: Random) -> Case:
    """Draw a case."""
    machine, image, disk = ({name: value(draw) for name, value in each.items()} for each in (MACHINES, IMAGES, DISK))
    return Case(
        machine=machine | {"SystemDisk": disk},
        image=image,
        image_id=mostly(IMAGE, "m-nosuchimage")(draw),
        size=draw.choice(SIZES)(draw),
        password=draw.choice((*[PASSWORDS] * 7, text))(draw),
        inherit=mostly(False, True)(draw),
        key_pair=mostly("ops-2026", "", "no-such-pair")(draw),
    )


def theirs(emulator: EmulatorHere, case: Case) -> str:
    """Ask the emulator to do it; return its code, or nothing."""
    values = {"InstanceId": MACHINE, "ImageId": case.image_id, "RegionId": "cn-hangzhou"}
    given = {"SystemDisk.Size": case.size, "Password": case.password, "KeyPairName": case.key_pair}
    values |= {name: value for name, value in given.items() if value}
    if case.inherit:
        values["PasswordInherit"] = "true"
    return str(emulator.ask("ReplaceSystemDisk", **values).get("Code", ""))


def ours(edition_name: str, case: Case, instance: Instance, image: Image | None, key_pairs: frozenset[str]) -> str:
    """Return the first refusal that we foresee, or nothing."""
    edition = EDITIONS[edition_name]
    if case.password and password_problem(Secret(case.password), edition, windows=False):
        return "InvalidPassword.Malformed"
    if case.password and case.inherit:
        return "InvalidPasswordParam.Mismatch"
    if case.size and size_problem_of_text(case.size):
        return "InvalidSystemDiskSize"
    disk_request = DiskRequest(
        image_id=case.image_id,
        size=int(case.size) if case.size else None,
        login="key_pair" if case.key_pair else "image",
        key_pair=case.key_pair,
        has_password=bool(case.password),
    )
    now = datetime.now(UTC)
    machine = machine_of(instance, now=now)
    found = refusals(disk_request=disk_request, machine=machine, image=image, key_pairs=key_pairs, edition=edition)
    # What only Windows asks of a password is looked at when the image is known: after existence, before the machine's state.
    missing = [problem.code for problem in found if problem.code in MISSING]
    windows = image is not None and image.os_type == "windows"
    if not missing and windows and case.password and password_problem(Secret(case.password), edition):
        return "InvalidPassword.Malformed"
    return found[0].code if found else ""


@cache
def key_pairs_of(edition: str) -> frozenset[str]:
    """Read the key pairs once: no case changes them."""
    pairs = EmulatorHere.make(instances=1, edition=edition).ask("DescribeKeyPairs", PageSize="50")
    return frozenset(pair["KeyPairName"] for pair in pairs["KeyPairs"]["KeyPair"])


def mirrored(emulator: EmulatorHere, case: Case) -> tuple[Instance, Image | None]:
    """See the world as the mirror does: through Describe calls and nothing else."""
    account, now = Account(name="a", regions=[]), datetime.now(UTC)
    (described,) = emulator.ask("DescribeInstances", InstanceIds=json.dumps([MACHINE]))["Instances"]["Instance"]
    view = parse.instance(described)
    instance = instance_row(account, view.region, view, TYPES_TO_ARCHITECTURE.get(view.instance_type, "x86_64"), now)
    (disk,) = emulator.ask("DescribeDisks", InstanceId=MACHINE, DiskType="system")["Disks"]["Disk"]
    put_disk(instance, parse.disk(disk))
    snapshots = emulator.ask("DescribeSnapshots", DiskId=instance.disk_id, Status="progressing")
    instance.disk_snapshot_running = bool(snapshots["Snapshots"]["Snapshot"])
    found = emulator.ask("DescribeImages", ImageId=case.image_id, Status="Available,Deprecated")["Images"]["Image"]
    image = image_row(account, view.region, parse.image(found[0]), now) if found else None
    if image:
        supported = emulator.ask("DescribeImageSupportInstanceTypes", ImageId=case.image_id, ActionType="ChangeOS")
        image.supported_types = [one["InstanceTypeId"] for one in supported["InstanceTypes"]["InstanceType"]]
    return instance, image


@pytest.fixture(scope="module", params=["2018", "2026"])
def emulator(request: pytest.FixtureRequest) -> EmulatorHere:
    durations = dict.fromkeys(("stop", "start", "replace", "snapshot"), 0.0)
    made = EmulatorHere.make(instances=1, edition=request.param, durations=durations)
    made.call("PUT", "quotas", {"ReplaceSystemDisk": None})
    return made


# Every answer that the cases are about: without one of them they would prove less than they seem to.
IN_BOTH = {
    "",
    "DiskCreatingSnapshot",
    "ImageNotSubscribed",
    "ImageNotSupportInstanceType",
    "IncorrectInstanceStatus",
    "InstanceLockedForSecurity",
    "InvalidImageId.NotFound",
    "InvalidParameter.Conflict",
    "InvalidPassword.Malformed",
    "InvalidPasswordParam.Mismatch",
    "InvalidSystemDiskSize",
    "InvalidSystemDiskSize.LessThanImageSize",
    "InvalidSystemDiskSize.LessThanMinSize",
    "InvalidSystemDiskSize.MoreThanMaxSize",
    "InvalidSystemDiskSize.ValueNotSupported",
    "IoOptimized.NotSupported",
}
MET = {
    "2018": IN_BOTH | {"Instanceexpiredorinarrears", "NoSuchResource", "OperationDenied"},
    "2026": IN_BOTH | {"InstanceExpiredOrInArrears", "InvalidKeyPairName.NotFound", "OperationDenied.InstanceCreating"},
}


@pytest.mark.slow
def test_the_two_readings_agree(emulator: EmulatorHere) -> None:
    edition, met = emulator.app.provider.settings.edition, set()
    for number in range(CASES):
        case = case_of(Random(f"{seed()} {number}"))
        emulator.call(
            "PATCH", f"instances/{MACHINE}", {"Replacing": False, "InstanceChargeType": "PrePaid", **case.machine}
        )
        emulator.call("PATCH", f"images/{IMAGE}", case.image)
        instance, image = mirrored(emulator, case)

        answer = theirs(emulator, case)
        foreseen = ours(edition, case, instance, image, key_pairs_of(edition))
        assert foreseen == answer, f"case {number} of seed {seed()}: {case}"
        met.add(answer)
    assert met == MET[edition]


def test_what_is_not_visible_is_listed() -> None:
    never_foreseen = {"ChargeTypeViolation", "INST_HAS_UNPAID_ORDER", "QuotaExceed.BuyImage", "ImageRemovedInMarket"}
    assert never_foreseen < set(INVISIBLE)
    assert json.dumps(sorted(INVISIBLE))
