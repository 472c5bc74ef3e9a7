"""What `manage.py probe` finds in an account, and that it changes nothing."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from fleet.inventory.credentials import seal_credential
from fleet.inventory.probe import FAULT, FINE, probe
from fleet.lib.clock import DatabaseClock
from fleet.lib.secret import Secret
from fleet.models import Account
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db


@pytest.fixture
def emulator(emulator_on_the_wire: Emulator) -> Emulator:
    """One that checks signatures."""
    return emulator_on_the_wire


@pytest.fixture
def account(emulator: Emulator) -> Account:
    return Account.objects.create(
        name="prod",
        edition="2018",
        endpoint=f"127.0.0.1:{emulator.port}",
        regions=["cn-hangzhou", "cn-shanghai"],
        guard_lifted=True,
        credential=seal_credential(access_key_id=emulator.access_key_id, secret=Secret(emulator.access_key_secret)),
    )


def run(*names: str) -> str:
    out = StringIO()
    call_command("probe", *names, stdout=out)
    return out.getvalue()


def test_all_is_fine_and_nothing_was_changed(account: Account, emulator: Emulator) -> None:
    before = emulator.call("GET", "ledger?since=seed")
    told = run("prod")
    assert "prod: in observe, edition 2018" in told
    assert "fault" not in told
    for right in ("DescribeInstances", "DescribeDisks", "DescribeImages", "DescribeSnapshots", "StopInstances"):
        assert f"fine  ecs:{right} " in told
    assert "note  ecs:ReplaceSystemDisk" in told
    assert "not asked: the API has no dry run of it" in told
    assert emulator.call("GET", "ledger?since=seed") == before
    assert {one["action"] for one in emulator.journal()} - {"StopInstances", "StartInstances", "CreateImage"} == {
        one for one in {call["action"] for call in emulator.journal()} if one.startswith("Describe")
    }


def test_a_missing_right_is_named_as_ram_names_it(account: Account, emulator: Emulator) -> None:
    denied = {"kind": "error", "code": "Forbidden.RAM", "times": 0}
    emulator.faults(denied | {"action": "DescribeKeyPairs"}, denied | {"action": "StopInstances"})
    found = {(one.right, one.region): one for one in probe(account, DatabaseClock().now())}
    assert found["ecs:DescribeKeyPairs", "cn-shanghai"].level == FAULT
    assert found["ecs:StopInstances", "cn-hangzhou"].words == "missing: grant ecs:StopInstances in RAM (Forbidden.RAM)"
    assert found["ecs:DescribeInstances", "cn-hangzhou"].level == FINE
    with pytest.raises(CommandError, match="What is missing stands above"):
        run()


def test_a_wrong_region_key_and_quota_are_faults(account: Account) -> None:
    account.regions, account.replace_quota = ["cn-hangzhou", "xx-nowhere"], 500
    account.save()
    faults = [one for one in probe(account, DatabaseClock().now()) if one.level == FAULT]
    assert ("region", "xx-nowhere") in [(one.right, one.region) for one in faults]
    assert "500 calls a minute" in faults[0].words
    account.credential = seal_credential(access_key_id="emulator", secret=Secret("another"))
    account.save()
    faults = [one for one in probe(account, DatabaseClock().now()) if one.level == FAULT]
    assert "InvalidAccessKeySecret" in " ".join(one.words for one in faults)
    assert "another" not in " ".join(one.words for one in faults)


def test_the_guard_is_respected_by_the_probe_too(account: Account) -> None:
    account.guard_lifted = False
    account.save()
    found = {(one.right, one.region): one for one in probe(account, DatabaseClock().now())}
    guard = found["guard", "cn-hangzhou"]
    assert "carry fleet-os=allowed" in guard.words
    if guard.words.startswith("0 "):
        assert found["ecs:StopInstances", "cn-hangzhou"].words.startswith("not asked")


def test_an_unknown_name_lists_those_there_are(account: Account) -> None:
    with pytest.raises(CommandError, match="Accounts: prod"):
        run("no-such")
