"""Every rule, one by one: what the API would refuse, in its words and its order."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fleet.changes.judging.editions import EDITIONS
from fleet.changes.judging.facts import machine_of
from fleet.changes.judging.refusals import DiskRequest, refusals, resulting_size
from fleet.models import Image
from tests.support.contract import DISK_REQUEST, NOW, image, machine


def codes(
    disk_request: DiskRequest = DISK_REQUEST, edition: str = "2018", new: Image | None = None, **of_machine: Any
) -> list[str]:
    found = refusals(
        disk_request=disk_request,
        machine=machine_of(machine(**of_machine), now=NOW),
        image=new or image(),
        key_pairs=frozenset({"ops"}),
        edition=EDITIONS[edition],
    )
    assert all(problem.blocks and problem.why and problem.do for problem in found)
    return [problem.code for problem in found]


def test_nothing_stands_against_a_plain_machine() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"gone_at": NOW}, "InvalidInstanceId.NotFound"),
        ({"locks": ["security"]}, "InstanceLockedForSecurity"),
        ({"locks": ["financial"]}, "Instanceexpiredorinarrears"),
        ({"expires_at": NOW - timedelta(minutes=1)}, "Instanceexpiredorinarrears"),
        ({"status": "Pending"}, "IncorrectInstanceStatus"),
        ({"status": "Starting"}, "IncorrectInstanceStatus"),
        ({"status": "Stopping"}, "IncorrectInstanceStatus"),
        ({"disk_snapshot_running": True}, "DiskCreatingSnapshot"),
        ({"architecture": "arm64"}, "InvalidParameter.Conflict"),
        ({"disk_size": 61}, "InvalidSystemDiskSize.ValueNotSupported"),
    ],
)
def test_a_state_of_the_machine_blocks(state: dict[str, Any], code: str) -> None:
    assert codes(**state) == [code]


@pytest.mark.parametrize(
    "state", [{"status": "Stopped"}, {"expires_at": NOW + timedelta(days=1)}, {"locks": ["Recycling"]}]
)
def test_a_state_that_does_not_block(state: dict[str, Any]) -> None:
    assert codes(**state) == []


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"gone_at": NOW}, "InvalidImageId.NotFound"),
        ({"status": "UnAvailable"}, "InvalidImageId.NotFound"),
        ({"data_disk_snapshots": True}, "OperationDenied"),
        ({"owner": "marketplace", "subscribed": False}, "ImageNotSubscribed"),
        ({"io_optimized": False}, "IoOptimized.NotSupported"),
        ({"architecture": "arm64"}, "InvalidParameter.Conflict"),
        ({"supported_types": ["ecs.c6.large"]}, "ImageNotSupportInstanceType"),
        ({"size": 61}, "InvalidSystemDiskSize.LessThanImageSize"),
    ],
)
def test_a_state_of_the_image_blocks(state: dict[str, Any], code: str) -> None:
    assert codes(new=image(**state)) == [code]


def test_an_image_that_its_region_does_not_show_blocks() -> None:
    plain = machine_of(machine(), now=NOW)
    found = refusals(
        disk_request=DISK_REQUEST, machine=plain, image=None, key_pairs=frozenset({"ops"}), edition=EDITIONS["2018"]
    )
    assert [problem.code for problem in found] == ["InvalidImageId.NotFound"]
    assert "cn-hangzhou" in found[0].why


def test_a_market_image_that_is_subscribed_passes() -> None:
    assert codes(new=image(owner="marketplace", subscribed=True)) == []


@pytest.mark.parametrize(
    ("size", "os_type", "code"),
    [
        (19, "linux", "InvalidSystemDiskSize.LessThanMinSize"),
        (39, "windows", "InvalidSystemDiskSize.LessThanMinSize"),
        (39, "linux", "InvalidSystemDiskSize.ValueNotSupported"),
        (501, "linux", "InvalidSystemDiskSize.MoreThanMaxSize"),
    ],
)
def test_sizes_of_2018(size: int, os_type: str, code: str) -> None:
    assert codes(replace(DISK_REQUEST, size=size), new=image(os_type=os_type)) == [code]


@pytest.mark.parametrize("size", [None, 40, 60, 500])
def test_sizes_of_2018_that_pass(size: int | None) -> None:
    assert codes(replace(DISK_REQUEST, size=size)) == []


@pytest.mark.parametrize(
    ("category", "level", "size", "code"),
    [
        ("cloud", "", 501, "InvalidSystemDiskSize.MoreThanMaxSize"),
        ("cloud_essd", "PL1", 2049, "InvalidSystemDiskSize.MoreThanMaxSize"),
        ("cloud_essd", "PL1", 2048, None),
        ("cloud_essd", "PL2", 460, "InvalidSystemDiskSize.LessThanMinSize"),
        ("cloud_essd", "PL3", 1260, "InvalidSystemDiskSize.LessThanMinSize"),
        ("cloud_essd", "PL3", 1261, None),
        ("cloud_ssd", "", 2048, None),
    ],
)
def test_sizes_of_2026_depend_on_the_category(category: str, level: str, size: int, code: str | None) -> None:
    found = codes(replace(DISK_REQUEST, size=size), "2026", disk_category=category, disk_performance_level=level)
    assert found == ([code] if code else [])


def test_without_a_size_the_new_disk_is_as_large_as_the_largest_of_default_image_and_disk() -> None:
    edition, disk_request = EDITIONS["2018"], replace(DISK_REQUEST, size=None)
    assert resulting_size(disk_request, machine(disk_size=20), image(size=20), edition) == 40
    assert resulting_size(disk_request, machine(disk_size=100), image(size=20), edition) == 100
    assert resulting_size(disk_request, machine(disk_size=40), image(size=50), edition) == 50
    assert resulting_size(DISK_REQUEST, machine(disk_size=40), image(size=20), edition) == 60


@pytest.mark.parametrize(("edition", "code"), [("2018", "NoSuchResource"), ("2026", "InvalidKeyPairName.NotFound")])
def test_an_unknown_key_pair_blocks_linux(edition: str, code: str) -> None:
    assert codes(replace(DISK_REQUEST, key_pair="nobody"), edition) == [code]


def test_an_unknown_key_pair_is_ignored_for_windows() -> None:
    assert codes(replace(DISK_REQUEST, key_pair="nobody"), new=image(os_type="windows")) == []


def test_a_key_pair_does_not_matter_where_it_is_not_asked_for() -> None:
    assert codes(replace(DISK_REQUEST, login="image", key_pair="nobody")) == []


def test_data_disk_snapshots_are_no_obstacle_any_more_in_2026() -> None:
    assert codes(edition="2026", new=image(data_disk_snapshots=True)) == []


def test_the_first_refusal_is_the_one_that_the_api_would_give() -> None:
    everything = codes(
        replace(DISK_REQUEST, size=19, key_pair="nobody"),
        new=image(data_disk_snapshots=True, owner="marketplace", io_optimized=False, supported_types=[]),
        locks=["security", "financial"],
        status="Pending",
        disk_snapshot_running=True,
        architecture="arm64",
    )
    assert everything == [
        "NoSuchResource",
        "InstanceLockedForSecurity",
        "Instanceexpiredorinarrears",
        "IncorrectInstanceStatus",
        "DiskCreatingSnapshot",
        "OperationDenied",
        "ImageNotSubscribed",
        "IoOptimized.NotSupported",
        "InvalidParameter.Conflict",
        "ImageNotSupportInstanceType",
        "InvalidSystemDiskSize.LessThanMinSize",
    ]
