"""Calls counted in fixed minutes, by all workers together."""

import threading
from datetime import UTC, datetime, timedelta

from django.db import connection

from fleet.inventory import quota
from fleet.inventory.credentials import client_for
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, CallWindow
from tests.inventory.conftest import REGION, Open
from tests.support.databases import CommittedDatabase
from tests.support.emulator import Emulator

NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
ACTION = "ReplaceSystemDisk"


def take(account: Account, wanted: int, *, at: datetime = NOON, region: str = REGION, action: str = ACTION) -> int:
    return quota.take(account, region, action, wanted=wanted, limit=100, now=at)


def test_grants_up_to_the_limit(account: Account) -> None:
    assert [take(account, 60), take(account, 60), take(account, 60)] == [60, 40, 0]
    assert quota.used(account, REGION, ACTION, now=NOON) == 100
    assert take(account, 0) == take(account, -3) == 0


def test_windows_are_whole_minutes(account: Account) -> None:
    assert take(account, 100, at=NOON.replace(second=59, microsecond=999_999)) == 100
    assert take(account, 1) == 0
    assert take(account, 70, at=NOON.replace(minute=1, second=0)) == 70
    assert set(CallWindow.objects.values_list("minute", flat=True)) == {
        NOON.replace(second=0),
        NOON.replace(minute=1, second=0),
    }


def test_accounts_regions_and_actions_are_counted_apart(account: Account, open_account: Open) -> None:
    other = open_account(name="other")
    assert take(account, 100) == 100
    assert take(other, 100) == 100
    assert take(account, 100, region="cn-shanghai") == 100
    assert take(account, 100, action="StopInstances") == 100


def test_a_lowered_limit_grants_nothing_and_takes_nothing_back(account: Account) -> None:
    assert take(account, 90) == 90
    assert quota.take(account, REGION, ACTION, wanted=5, limit=50, now=NOON) == 0
    assert quota.used(account, REGION, ACTION, now=NOON) == 90


def test_count_and_prune(account: Account) -> None:
    assert [quota.count(account, REGION, "DescribeDisks", NOON) for _ in range(3)] == [1, 2, 3]
    quota.count(account, REGION, "DescribeDisks", NOON + timedelta(minutes=61))
    assert quota.prune(now=NOON + timedelta(minutes=62)) == 1
    assert CallWindow.objects.get().used == 1


def test_every_call_is_counted_but_the_one_that_was_taken(
    emulator: Emulator, account: Account, clock: DatabaseClock
) -> None:
    client = client_for(account, REGION)
    client.describe_regions()
    client.describe_regions()
    client.stop_instances(ids=["i-23jggx34b"])
    client.replace_system_disk(instance_id="i-23jggx34b", image_id="m-myimage11", client_token="t-1")
    # Two windows where the minute turned in between.
    counted: dict[str, int] = {}
    for action, calls in CallWindow.objects.values_list("action", "used"):
        counted[action] = counted.get(action, 0) + calls
    assert counted == {"DescribeRegions": 2, "StopInstances": 1}


def test_threads_together_stay_under_the_limit(committed_db: CommittedDatabase, open_account: Open) -> None:
    account = open_account()
    granted: list[int] = []
    start = threading.Barrier(8)

    def work() -> None:
        try:
            start.wait(10)
            granted.extend(take(account, 7) for _ in range(10))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 80
    assert sum(granted) == 100
    assert quota.used(account, REGION, ACTION, now=NOON) == 100
