"""Edition 2026: today's sizes, passwords, codes; the same code with another data file."""

import pytest

from fleet.emulator.contract.edition import edition
from tests.emulator.caller import EXAMPLE, Emulated

ME = EXAMPLE["InstanceId"]
WINDOWS = "win2022_21H2_x64_dtc_en-us_40G_alibase_20241015.vhd"


@pytest.fixture
def now(emu: Emulated) -> Emulated:
    emu.told("PUT", "settings", {"edition": "2026"})
    return emu


SIZES = [
    # category, level, current size, size asked for, what becomes of it
    ("cloud", "", 20, "500", ""),
    ("cloud", "", 20, "501", "MoreThanMaxSize"),
    ("cloud", "", 20, "19", "LessThanMinSize"),
    ("cloud_efficiency", "", 20, "2048", ""),
    ("cloud_efficiency", "", 20, "2049", "MoreThanMaxSize"),
    ("cloud_ssd", "", 20, "19", "LessThanMinSize"),
    ("cloud_essd", "PL0", 10, "19", "LessThanImageSize"),
    ("cloud_essd", "PL0", 20, "20", ""),
    ("cloud_essd", "PL0", 10, "0", "LessThanMinSize"),
    ("cloud_essd", "PL1", 20, "19", "LessThanMinSize"),
    ("cloud_essd", "PL1", 20, "2048", ""),
    ("cloud_essd", "PL2", 20, "460", "LessThanMinSize"),
    ("cloud_essd", "PL2", 20, "461", ""),
    ("cloud_essd", "PL3", 20, "1260", "LessThanMinSize"),
    ("cloud_essd", "PL3", 20, "1261", ""),
    ("cloud_auto", "", 10, "0", "LessThanMinSize"),
    ("cloud_auto", "", 20, "2048", ""),
    ("cloud_essd", "PL1", 100, "99", "ValueNotSupported"),
]


@pytest.mark.parametrize(("category", "level", "current", "size", "outcome"), SIZES)
def test_sizes(now: Emulated, category: str, level: str, current: int, size: str, outcome: str) -> None:
    disk = {"Category": category, "PerformanceLevel": level, "Size": current}
    now.told("PATCH", f"instances/{ME}", {"SystemDisk": disk})
    answer = now.call("ReplaceSystemDisk", {**EXAMPLE, "SystemDisk.Size": size})
    assert answer.code == (f"InvalidSystemDiskSize.{outcome}" if outcome else "")


PASSWORDS = [
    ("abcdefg1!", "", True),
    ("ABCDEFG1!", "", True),
    ("Abcdefgh!", "", True),
    ("Abcdefg1", "", True),
    ("Abcdefg_", "", True),
    ("abcdefg1", "", False),
    ("Abcdefgh", "", False),
    ("Abc1_", "", False),
    ("/Abcdefg1", "", True),
    ("/Abcdefg1", WINDOWS, False),
    ("Abcdefg1/", WINDOWS, True),
    ("Abcdefg1 ", "", False),
]


@pytest.mark.parametrize(("password", "image", "good"), PASSWORDS)
def test_passwords(now: Emulated, password: str, image: str, good: bool) -> None:
    request = {**EXAMPLE, "Password": password} | ({"ImageId": image} if image else {})
    assert now.call("ReplaceSystemDisk", request).code == ("" if good else "InvalidPassword.Malformed")


def test_codes_that_are_spelled_otherwise(now: Emulated) -> None:
    cases = [
        ({"ExpiredTime": "2020-01-01T00:00Z"}, {}, "InstanceExpiredOrInArrears", 403),
        ({"unpaid_order": True}, {}, "OperationDenied.UnpaidOrder", 403),
        ({"Status": "Pending"}, {}, "OperationDenied.InstanceCreating", 403),
        ({}, {"KeyPairName": "nobody"}, "InvalidKeyPairName.NotFound", 400),
        ({}, {"KMSKeyId": "nobody"}, "InvalidParameter.KMSKeyId.NotFound", 404),
        ({}, {"Encrypted": "perhaps"}, "InvalidParameter", 400),
    ]
    for state, request, code, status in cases:
        undo = {"ExpiredTime": "2099-12-31T15:59Z", "unpaid_order": False, "Status": "Stopped"}
        now.told("PATCH", f"instances/{ME}", {**undo, **state})
        answer = now.call("ReplaceSystemDisk", {**EXAMPLE, **request})
        assert (answer.code, answer.status) == (code, status)


def test_an_unknown_action_is_an_unknown_api(now: Emulated) -> None:
    answer = now.call("DropEverything")
    assert (answer.code, answer.status) == ("InvalidApi.NotFound", 404)


def test_data_disk_snapshots_are_no_obstacle_today(now: Emulated) -> None:
    tag = {"Tag.1.Key": "case", "Tag.1.Value": "OperationDenied.400"}
    (image,) = now.ok("DescribeImages", tag)["Images"]["Image"]
    assert now.call("ReplaceSystemDisk", {**EXAMPLE, "ImageId": image["ImageId"]}).status == 200


def test_encryption(now: Emulated) -> None:
    now.ok("ReplaceSystemDisk", EXAMPLE, Encrypted="true", KMSKeyId="key-emu-1", UseAdditionalService="true")
    now.pass_time(60)
    (disk,) = now.disks(ME)
    assert (disk["Encrypted"], disk["KMSKeyId"]) == (True, "key-emu-1")


def test_busy_with_another_replacement(now: Emulated) -> None:
    now.ok("ReplaceSystemDisk", EXAMPLE)
    answer = now.call("ReplaceSystemDisk", EXAMPLE)
    assert (answer.code, answer.status) == ("IncorrectDiskStatus", 403)


NEW = {
    "DependencyViolation.IoOptimize": 400,
    "InvalidArchitecture.Malformed": 400,
    "InvalidDatadisk.DiskCategoryViolation": 400,
    "InvalidDatadisk.DiskStatusViolation": 400,
    "InvalidDiskCategory.ValueNotSupported": 400,
    "InvalidDiskId.NotFound": 400,
    "InvalidInstance.NotFoundSystemDisk": 400,
    "InvalidKeyPairName.NotFound": 400,
    "InvalidParameter.AllEmpty": 400,
    "InvalidPlatform.Malformed": 400,
    "MissingParameter.Architecture": 400,
    "MissingParameter.Platform": 400,
    "IncorrectDiskStatus": 403,
    "InvalidOperation.MultiAttachDisk": 403,
    "InvalidParameter.NotMatch": 403,
    "InvalidSystemDiskStatus.IsTransfering": 403,
    "OperationDenied.ImageNotValid": 403,
    "OperationDenied.InstanceCreating": 403,
    "OperationDenied.UnpaidOrder": 403,
    "ResourcesNotInSameZone": 403,
    "InternalError": 500,
}


@pytest.mark.parametrize("code", NEW)
def test_every_newer_code_can_be_rehearsed(now: Emulated, code: str) -> None:
    now.told("PATCH", f"instances/{ME}", {"refuse": code})
    answer = now.call("ReplaceSystemDisk", EXAMPLE)
    assert (answer.code, answer.status) == (code, NEW[code])
    assert now.replacements(ME) == []


def test_both_editions_have_the_same_shape() -> None:
    old, new = edition("2018"), edition("2026")
    assert set(old.errors) <= set(new.errors)
    assert set(old.password) == set(new.password)
    with pytest.raises(KeyError):
        edition("1999")
