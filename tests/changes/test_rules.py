"""Every rule, one by one: what the API would refuse, in its words and its order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.changes.editions import EDITIONS
from fleet.changes.rules import Wish, password_problem, refusals, resulting_size, size_problem_of_text
from fleet.changes.warnings import ORDER, WORDS, warnings
from fleet.lib.secret import Secret
from fleet.models import Image, Instance

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WISH = Wish(image_id="m-1", size=60, login="key_pair", key_pair="ops", has_password=False)


def machine(**given: Any) -> Instance:
    fields: dict[str, Any] = {
        "region": "cn-hangzhou",
        "instance_id": "i-1",
        "name": "web-1",
        "status": "Running",
        "instance_type": "ecs.g7.large",
        "architecture": "x86_64",
        "os_type": "linux",
        "os_name": "Ubuntu 20.04 64 bit",
        "image_id": "m-0",
        "io_optimized": True,
        "disk_id": "d-1",
        "disk_size": 40,
        "disk_category": "cloud_essd",
        "disk_performance_level": "PL1",
        "seen_at": NOW,
    }
    return Instance(**(fields | given))


def image(**given: Any) -> Image:
    fields: dict[str, Any] = {
        "image_id": "m-1",
        "os_type": "linux",
        "os_name": "Ubuntu 24.04 64 bit",
        "architecture": "x86_64",
        "size": 20,
        "owner": "system",
        "status": "Available",
        "io_optimized": True,
    }
    return Image(**(fields | given))


def codes(wish: Wish = WISH, edition: str = "2018", new: Image | None = None, **of_machine: Any) -> list[str]:
    found = refusals(
        wish=wish,
        instance=machine(**of_machine),
        image=new or image(),
        key_pairs=frozenset({"ops"}),
        edition=EDITIONS[edition],
        now=NOW,
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


@pytest.mark.parametrize("state", [{"status": "Stopped"}, {"expires_at": NOW + timedelta(days=1)}, {"locks": ["Recycling"]}])
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
    found = refusals(
        wish=WISH, instance=machine(), image=None, key_pairs=frozenset({"ops"}), edition=EDITIONS["2018"], now=NOW
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
    assert codes(replace(WISH, size=size), new=image(os_type=os_type)) == [code]


@pytest.mark.parametrize("size", [None, 40, 60, 500])
def test_sizes_of_2018_that_pass(size: int | None) -> None:
    assert codes(replace(WISH, size=size)) == []


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
    found = codes(replace(WISH, size=size), "2026", disk_category=category, disk_performance_level=level)
    assert found == ([code] if code else [])


def test_without_a_size_the_new_disk_is_as_large_as_the_largest_of_default_image_and_disk() -> None:
    edition, wish = EDITIONS["2018"], replace(WISH, size=None)
    assert resulting_size(wish, machine(disk_size=20), image(size=20), edition) == 40
    assert resulting_size(wish, machine(disk_size=100), image(size=20), edition) == 100
    assert resulting_size(wish, machine(disk_size=40), image(size=50), edition) == 50
    assert resulting_size(WISH, machine(disk_size=40), image(size=20), edition) == 60


@pytest.mark.parametrize(("edition", "code"), [("2018", "NoSuchResource"), ("2026", "InvalidKeyPairName.NotFound")])
def test_an_unknown_key_pair_blocks_linux(edition: str, code: str) -> None:
    assert codes(replace(WISH, key_pair="nobody"), edition) == [code]


def test_an_unknown_key_pair_is_ignored_for_windows() -> None:
    assert codes(replace(WISH, key_pair="nobody"), new=image(os_type="windows")) == []


def test_a_key_pair_does_not_matter_where_it_is_not_asked_for() -> None:
    assert codes(replace(WISH, login="image", key_pair="nobody")) == []


def test_data_disk_snapshots_are_no_obstacle_any_more_in_2026() -> None:
    assert codes(edition="2026", new=image(data_disk_snapshots=True)) == []


def test_the_first_refusal_is_the_one_that_the_api_would_give() -> None:
    everything = codes(
        replace(WISH, size=19, key_pair="nobody"),
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


@pytest.mark.parametrize("text", ["", "x", "40.5", "-1", "4 0", "４０", "1e3", "40 GiB"])
def test_a_size_that_is_not_a_whole_number(text: str) -> None:
    problem = size_problem_of_text(text)
    assert problem
    assert problem.code == "InvalidSystemDiskSize"


def test_a_size_that_is_a_whole_number() -> None:
    assert size_problem_of_text("40") is None


@pytest.mark.parametrize(
    ("edition", "password"),
    [
        ("2018", "Abcdef1"),
        ("2018", "A1" + "b" * 29),
        ("2018", "abcdefg1"),
        ("2018", "ABCDEFG1"),
        ("2018", "Abcdefgh"),
        ("2018", "Abcdef 12"),
        ("2018", "Abcdef_12"),
        ("2018", 'Abcdef"12'),
        ("2018", "Abcdefé12"),
        ("2018", "Abcdefü１２"),
        ("2026", "abcdefg1"),
        ("2026", "ABCDEFGH"),
        ("2026", "/Abcdef12"),
        ("2026", "Abc def12"),
    ],
)
def test_a_password_that_the_api_does_not_take(edition: str, password: str) -> None:
    problem = password_problem(Secret(password), EDITIONS[edition])
    assert problem
    assert problem.code == "InvalidPassword.Malformed"
    assert password not in problem.why + problem.do


@pytest.mark.parametrize(
    ("edition", "password"),
    [
        ("2018", "Abcdef12"),
        ("2018", "A1" + "b" * 28),
        ("2018", "Ab1()`~!@#$%^&*-+=|{}[]:;'<>"),
        ("2018", "Ab1,.?/xxx"),
        ("2026", "Abcdef_x"),
        ("2026", "abcdef1_"),
        ("2026", "Abcdef12"),
    ],
)
def test_a_password_that_the_api_takes(edition: str, password: str) -> None:
    assert password_problem(Secret(password), EDITIONS[edition]) is None


def warned(wish: Wish = WISH, new: Image | None = None, last: datetime | None = None, **of_machine: Any) -> list[str]:
    found = warnings(
        wish=wish,
        instance=machine(**of_machine),
        image=new or image(),
        edition=EDITIONS["2018"],
        last_replaced=last,
        now=NOW,
    )
    assert not any(problem.blocks for problem in found)
    return [problem.code for problem in found]


SAME_SIZE = replace(WISH, size=40)


@pytest.mark.parametrize(
    ("code", "wish", "new", "of_machine"),
    [
        ("os_family", SAME_SIZE, image(), {"os_type": "windows", "os_name": "Windows Server 2019"}),
        ("distribution", SAME_SIZE, image(), {"os_name": "CentOS 7.9 64 bit"}),
        ("protected", SAME_SIZE, image(), {"tags": {"protected": "true"}}),
        ("login_changes", replace(SAME_SIZE, login="image"), image(), {"key_pair": "old"}),
        ("password_unused", replace(SAME_SIZE, has_password=True), image(), {}),
        ("end_of_life", SAME_SIZE, image(os_name="Ubuntu 18.04 64 bit"), {}),
        ("economical", SAME_SIZE, image(), {"status": "Stopped", "stopped_mode": "StopCharging"}),
        ("same_image", SAME_SIZE, image(), {"image_id": "m-1"}),
        ("disk_grows", WISH, image(), {}),
        ("data_disks", SAME_SIZE, image(), {"data_disks": 2}),
        ("stale_mirror", SAME_SIZE, image(), {"seen_at": NOW - timedelta(minutes=6)}),
    ],
)
def test_what_is_warned_of(code: str, wish: Wish, new: Image, of_machine: dict[str, Any]) -> None:
    assert warned(wish, new, **of_machine) == [code]


def test_a_key_pair_on_windows_is_a_warning() -> None:
    windows = image(os_type="windows", os_name="Windows Server 2022")
    machine_on_windows = {"os_type": "windows", "os_name": "Windows Server 2019"}
    assert warned(SAME_SIZE, windows, **machine_on_windows) == ["windows_key_pair"]


def test_a_replacement_of_yesterday_is_warned_of_and_an_older_one_is_not() -> None:
    assert warned(SAME_SIZE, last=NOW - timedelta(hours=23)) == ["replaced_lately"]
    assert warned(SAME_SIZE, last=NOW - timedelta(hours=25)) == []


def test_nothing_is_warned_of_without_cause() -> None:
    assert warned(SAME_SIZE) == []


def test_every_warning_has_words_and_a_place() -> None:
    assert list(ORDER) == list(WORDS)
    assert all(why and do for why, do in WORDS.values())
