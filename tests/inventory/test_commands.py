"""The commands `demo` and `sync`."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from fleet.models import Account, Grant, Instance, Role, SealedSecret, User
from tests.support.emulator import Emulator

PASSWORD = "a-password-of-the-demo"


def demo(port: int) -> str:
    out = StringIO()
    call_command("demo", emulator_port=port, stdout=out)
    return out.getvalue()


def test_demo_sets_up_once(db: None, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_DEMO_PASSWORD", PASSWORD)
    assert demo(emulator.port) == ""
    account = Account.objects.get()
    assert (account.name, account.edition, account.endpoint) == ("demo", "2018", f"127.0.0.1:{emulator.port}")
    assert account.executes
    assert account.guard_lifted
    assert len(account.regions) == 3
    assert account.regions[0] == "cn-hangzhou"
    roles = dict(Grant.objects.values_list("user__username", "role"))
    assert roles == {
        "operator": Role.OPERATOR,
        "reviewer": Role.APPROVER,
        "auditor": Role.AUDITOR,
        "admin": Role.ADMIN,
    }
    hashes = dict(User.objects.values_list("username", "password"))
    assert all(user.check_password(PASSWORD) for user in User.objects.all())
    sealed = account.credential_id
    demo(1)
    account.refresh_from_db()
    assert (account.endpoint, len(account.regions)) == ("127.0.0.1:1", 3)  # where nobody listens, it knows them
    assert account.credential_id == sealed
    assert dict(User.objects.values_list("username", "password")) == hashes
    assert Grant.objects.count() == 4
    assert SealedSecret.objects.count() == 1


def test_demo_follows_the_password(db: None, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_DEMO_PASSWORD", raising=False)
    demo(emulator.port)
    assert not any(user.has_usable_password() for user in User.objects.all())
    for password in (PASSWORD, PASSWORD + "-2"):
        monkeypatch.setenv("FLEET_DEMO_PASSWORD", password)
        demo(emulator.port)
        assert all(user.check_password(password) for user in User.objects.all())


def test_demo_keeps_what_a_person_changed(db: None, emulator: Emulator) -> None:
    demo(emulator.port)
    Account.objects.update(executes=False, replace_quota=7)
    demo(emulator.port)
    assert (Account.objects.get().executes, Account.objects.get().replace_quota) == (False, 7)


def test_sync_prints_a_line_a_region(db: None, emulator: Emulator) -> None:
    demo(emulator.port)
    out = StringIO()
    call_command("sync", stdout=out)
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("demo cn-hangzhou: ")
    total = sum(int(line.split(": ")[1].split()[0].replace(",", "")) for line in lines)
    assert total == Instance.objects.present().count()


def test_sync_says_what_did_not_work(db: None, emulator: Emulator) -> None:
    demo(emulator.port)
    emulator.faults({"kind": "error", "action": "DescribeImages", "code": "Forbidden.RAM", "message": "Not you."})
    out = StringIO()
    with pytest.raises(CommandError, match="1 region could not be synced"):
        call_command("sync", stdout=out)
    assert "Not you. (Forbidden.RAM)" in out.getvalue()
    call_command("sync", stdout=StringIO())
