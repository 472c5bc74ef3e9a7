"""The login after a replacement, by system, key pair, password and inheritance, and which passwords are taken."""

from typing import Any

import pytest

from tests.emulator.caller import EXAMPLE, Emulated

PASSWORD = "Correct9Horse"
WINDOWS = "win2022_21H2_x64_dtc_en-us_40G_alibase_20241015.vhd"
ME = EXAMPLE["InstanceId"]


def replace(emu: Emulated, **more: str) -> None:
    emu.ok("ReplaceSystemDisk", {**EXAMPLE, **more})


def login(emu: Emulated) -> dict[str, Any]:
    return dict(emu.told("GET", f"ledger?instance={ME}")["logins"][ME])


LOGINS = [
    # image, given, key pair, a password is set, a password opens it, the image's own
    ("m-myimage11", {}, None, False, False, False),
    ("m-myimage11", {"KeyPairName": "ops-2024"}, "ops-2024", False, False, False),
    ("m-myimage11", {"Password": PASSWORD}, None, True, True, False),
    ("m-myimage11", {"Password": PASSWORD, "KeyPairName": "ops-2024"}, "ops-2024", True, False, False),
    ("m-myimage11", {"PasswordInherit": "true"}, None, True, True, True),
    ("m-myimage11", {"PasswordInherit": "TRUE", "KeyPairName": "ops-2024"}, "ops-2024", True, False, True),
    ("ubuntu_24_04_x64_20G_alibase_20241016.vhd", {"PasswordInherit": "true"}, None, False, False, True),
    (WINDOWS, {"Password": PASSWORD, "KeyPairName": "ops-2024"}, None, True, True, False),
    (WINDOWS, {"Password": PASSWORD, "KeyPairName": "no-such-pair"}, None, True, True, False),
    (WINDOWS, {}, None, False, False, False),
]


@pytest.mark.parametrize(("image", "given", "key", "is_set", "opens", "own"), LOGINS)
def test_effective_login(
    emu: Emulated, image: str, given: dict[str, str], key: str | None, is_set: bool, opens: bool, own: bool
) -> None:
    assert login(emu)["key_pair"] == "ops-2026"
    replace(emu, ImageId=image, **given)
    assert login(emu)["key_pair"] == "ops-2026"
    emu.pass_time(60)
    assert login(emu) == {"key_pair": key, "password_set": is_set, "password_login": opens, "image_password": own}
    assert emu.instance(ME).get("KeyPairName") == key


def test_a_password_that_was_set_stays_if_none_is_given(emu: Emulated) -> None:
    emu.told("PATCH", f"instances/{ME}", {"password_set": True, "password_login": True, "KeyPairName": ""})
    replace(emu)
    emu.pass_time(60)
    assert login(emu) == {"key_pair": None, "password_set": True, "password_login": True, "image_password": False}


PASSWORDS = [
    ("Abcdef1g", True),
    ("Abcdef1", False),
    ("A" * 14 + "b1" + "c" * 14, True),
    ("A" * 15 + "b1" + "c" * 14, False),
    ("abcdefg1", False),
    ("ABCDEFG1", False),
    ("Abcdefgh", False),
    ("Abcdef1 ", False),
    ("Abcdef1_", False),
    ("Abcdef1é", False),
    ("Ab1()`~!@#$%^&*-+=|{}[]:;'<>,.", True),
    ("Ab1?/xxx", True),
    ('Abcdef1"', False),
    ("Abcdef1\\", False),
]


@pytest.mark.parametrize(("password", "good"), PASSWORDS)
def test_passwords_2018(emu: Emulated, password: str, good: bool) -> None:
    answer = emu.call("ReplaceSystemDisk", {**EXAMPLE, "Password": password})
    assert answer.code == ("" if good else "InvalidPassword.Malformed")
