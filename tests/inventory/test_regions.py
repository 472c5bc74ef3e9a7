"""Over several regions: what is taken out of an account is gone, and the figures of data disks are right on every page."""

import pytest

from fleet.inventory import sync_stages
from fleet.inventory.sync import ask_now, sync_due
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, DataDisk, Image, Instance, RegionMirror, SystemDisk
from tests.inventory.conftest import REGION, Open
from tests.support.emulator import Emulator

OTHER = "cn-shanghai"


def sync(clock: DatabaseClock) -> None:
    ask_now(clock=clock)
    sync_due(clock=clock, budget_seconds=60, pages=10_000)
    assert not RegionMirror.objects.exclude(stage="").exists()


def test_a_region_that_is_taken_out_leaves_no_machines(
    emulator: Emulator, db: None, open_account: Open, clock: DatabaseClock
) -> None:
    account = open_account(regions=[REGION, OTHER])
    sync(clock)
    here, there = (Instance.objects.filter(region=region) for region in (REGION, OTHER))
    before = here.count(), there.count()
    assert min(before) > 0

    Account.objects.update(regions=[REGION])
    sync(clock)
    assert (here.present().count(), there.present().count()) == (before[0], 0)
    assert there.count() == before[1]
    assert not SystemDisk.objects.filter(instance__region=OTHER, gone_at=None).exists()
    assert not Image.objects.present().filter(region=OTHER).exists()
    assert not DataDisk.objects.filter(region=OTHER).exists()

    Account.objects.update(regions=[REGION, OTHER])
    sync(clock)
    assert there.present().count() == before[1]
    assert SystemDisk.objects.filter(instance__region=OTHER, gone_at=None).count() == before[1]
    assert set(Instance.objects.values_list("account", flat=True)) == {account.pk}


def figures() -> list[tuple[int, int, int]]:
    return list(Instance.objects.order_by("pk").values_list("pk", "data_disks", "data_disk_size"))


def test_data_disks_are_counted_right_on_every_page(
    emulator: Emulator, account: Account, clock: DatabaseClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.cloud.describe.DISKS_A_PAGE", 20)
    sync(clock)
    whole = figures()
    assert sum(number for _, number, _ in whole) == DataDisk.objects.exclude(attached_to="").count() > 20

    real, pages = sync_stages.STAGES["data_disks"], []

    def watched(*given: object) -> sync_stages.Page:
        pages.append(figures())
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setitem(sync_stages.STAGES, "data_disks", watched)
    sync(clock)
    assert len(pages) > 1
    assert pages == [whole] * len(pages)


def test_a_data_disk_that_moves_or_vanishes_is_counted_no_more(
    emulator: Emulator, account: Account, clock: DatabaseClock
) -> None:
    sync(clock)
    one, two = Instance.objects.filter(data_disks=1).order_by("pk")[:2]
    moved = DataDisk.objects.get(attached_to=one.instance_id)
    # As if the mirror had last seen the disk of `one` on `two`, and one more that is no longer there.
    DataDisk.objects.filter(pk=moved.pk).update(attached_to=two.instance_id)
    DataDisk.objects.create(
        account=account, region=REGION, disk_id="d-ghost", attached_to=two.instance_id, size=9, seen_at=moved.seen_at
    )
    Instance.objects.filter(pk=one.pk).update(data_disks=0, data_disk_size=0)
    Instance.objects.filter(pk=two.pk).update(data_disks=3, data_disk_size=999)
    sync(clock)
    for before in (one, two):
        after = Instance.objects.get(pk=before.pk)
        assert (after.data_disks, after.data_disk_size) == (1, before.data_disk_size)
    assert not DataDisk.objects.filter(disk_id="d-ghost").exists()


def test_a_worker_in_a_region_that_is_taken_out_writes_nothing(
    emulator: Emulator, account: Account, clock: DatabaseClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sync_stages.STAGES["instances"]

    def slow(*given: object) -> sync_stages.Page:
        page = real(*given)  # type: ignore[arg-type]
        Account.objects.update(regions=[OTHER])
        sync_due(clock=clock, budget_seconds=0)
        return page

    monkeypatch.setitem(sync_stages.STAGES, "instances", slow)
    sync_due(clock=clock, budget_seconds=60, pages=1)
    assert not Instance.objects.filter(region=REGION).exists()
