"""What a reviewer must know although the API would not refuse it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet.changes.judging.editions import EDITIONS
from fleet.changes.judging.facts import machine_of
from fleet.changes.judging.refusals import DiskRequest
from fleet.changes.judging.warnings import ORDER, WORDS, warnings
from fleet.models import Image
from tests.support.contract import DISK_REQUEST, NOW, image, machine


def warned(
    disk_request: DiskRequest = DISK_REQUEST, new: Image | None = None, last: datetime | None = None, **of_machine: Any
) -> list[str]:
    found = warnings(
        disk_request=disk_request,
        machine=machine_of(machine(**({"key_pair": "ops"} | of_machine)), now=NOW, last_replaced=last),
        image=new or image(),
        edition=EDITIONS["2018"],
        today=NOW.date(),
    )
    assert not any(problem.blocks for problem in found)
    return [problem.code for problem in found]


SAME_SIZE = replace(DISK_REQUEST, size=40)
WINDOWS = image(os_type="windows", os_name="Windows Server 2022")
ON_WINDOWS: dict[str, Any] = {"os_type": "windows", "os_name": "Windows Server 2019", "key_pair": ""}


@pytest.mark.parametrize(
    ("code", "disk_request", "new", "of_machine"),
    [
        ("os_family", SAME_SIZE, image(), {"os_type": "windows", "os_name": "Windows Server 2019"}),
        ("distribution", SAME_SIZE, image(), {"os_name": "CentOS 7.9 64 bit"}),
        ("protected", SAME_SIZE, image(), {"tags": {"protected": "true"}}),
        ("login_changes", SAME_SIZE, image(), {"key_pair": ""}),
        ("login_changes", SAME_SIZE, image(), {"key_pair": "old"}),
        ("login_changes", replace(SAME_SIZE, login="password", has_password=True), image(), {"key_pair": "old"}),
        ("login_changes", replace(SAME_SIZE, login="image"), WINDOWS, ON_WINDOWS | {"key_pair": "old"}),
        ("password_unused", replace(SAME_SIZE, has_password=True), image(), {}),
        ("end_of_life", SAME_SIZE, image(os_name="Ubuntu 18.04 64 bit"), {}),
        ("economical", SAME_SIZE, image(), {"status": "Stopped", "stopped_mode": "StopCharging"}),
        ("same_image", SAME_SIZE, image(), {"image_id": "m-1"}),
        ("disk_grows", DISK_REQUEST, image(), {}),
        ("data_disks", SAME_SIZE, image(), {"data_disks": 2}),
        ("stale_mirror", SAME_SIZE, image(), {"seen_at": NOW - timedelta(minutes=6)}),
    ],
)
def test_what_is_warned_of(code: str, disk_request: DiskRequest, new: Image, of_machine: dict[str, Any]) -> None:
    assert warned(disk_request, new, **of_machine) == [code]


def test_a_key_pair_on_windows_is_a_warning() -> None:
    assert warned(SAME_SIZE, WINDOWS, **ON_WINDOWS) == ["windows_key_pair"]


@pytest.mark.parametrize(
    ("login", "key_pair"), [("image", "old"), ("image", ""), ("password", ""), ("key_pair", "ops")]
)
def test_a_login_that_stays_is_not_warned_of(login: str, key_pair: str) -> None:
    """With a login as in the image, the key pair that the machine has is bound again."""
    assert warned(replace(SAME_SIZE, login=login), key_pair=key_pair) == []


def test_a_replacement_of_yesterday_is_warned_of_and_an_older_one_is_not() -> None:
    assert warned(SAME_SIZE, last=NOW - timedelta(hours=23)) == ["replaced_lately"]
    assert warned(SAME_SIZE, last=NOW - timedelta(hours=25)) == []


def test_nothing_is_warned_of_without_cause() -> None:
    assert warned(SAME_SIZE) == []


def test_every_warning_has_words_and_a_place() -> None:
    assert list(ORDER) == list(WORDS)
    assert all(why and do for why, do in WORDS.values())
