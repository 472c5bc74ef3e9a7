"""The mirror: whole after a sync, resumable after each page, never two at once, and what vanished is
marked.
"""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection

from fleet.inventory import sync_stages
from fleet.inventory.credentials import client_for
from fleet.inventory.store import save_system_disks
from fleet.inventory.sync import LEASE, ask_now, ensure_mirrors, interval, sync_all, sync_due
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Heartbeat, Image, Instance, InstanceType, KeyPair, RegionMirror, SystemDisk
from tests.inventory.conftest import REGION, Open
from tests.support.databases import CommittedDatabase
from tests.support.emulator import Emulator


def sync(clock: DatabaseClock) -> RegionMirror:
    ask_now(clock=clock)
    sync_due(clock=clock, budget_seconds=60)
    mirror = RegionMirror.objects.get(region=REGION)
    assert (mirror.stage, mirror.note) == ("", "")
    return mirror


def calls(emulator: Emulator, action: str) -> int:
    return sum(1 for each in emulator.journal() if each["action"] == action)


def test_all_of_a_region(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    began = clock.now()
    mirror = sync(clock)
    shown = emulator.call("GET", "ledger")
    present = Instance.objects.present()
    assert mirror.instances == present.count() > 100
    assert mirror.synced_at is not None
    assert mirror.synced_at >= began
    row = present.get(instance_id="i-23jggx34b")
    assert row.disk_id in {disk["disk_id"] for disk in shown["disks"]}
    assert row.disk_size >= 20
    assert row.architecture == "x86_64"
    assert not present.filter(disk_id="").exists()
    assert not present.filter(architecture="").exists()
    assert set(InstanceType.objects.values_list("architecture", flat=True)) == {"x86_64", "arm64"}
    assert set(KeyPair.objects.present().values_list("name", flat=True)) >= {"ops-2024", "ops-2026"}
    assert Image.objects.present().filter(image_id="m-myimage11").exists()
    assert Image.objects.exclude(supported_types=None).count() > 0
    assert SystemDisk.objects.filter(gone_at=None).count() == mirror.instances
    assert SystemDisk.objects.get(instance=row).image_id == row.image_id
    assert present.filter(data_disks__gt=0, data_disk_size__gt=0).exists()
    assert Heartbeat.objects.get(name="sync").at >= began


def test_environment_tags_and_search(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    emulator.patch_instance(
        "i-23jggx34b", InstanceName="Web One", Tags={"env": "prod", "team": "Core"}, KeyPairName="ops-2024"
    )
    sync(clock)
    row = Instance.objects.get(instance_id="i-23jggx34b")
    assert (row.environment, row.key_pair) == ("prod", "ops-2024")
    assert row.tags == {"env": "prod", "team": "Core"}
    for word in ("web one", "i-23jggx34b", row.disk_id, row.private_ip, "env=prod", "team=core", row.image_id):
        assert word.lower() in row.search


def test_second_sync_changes_nothing(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    sync(clock)
    fields = [field.name for field in Instance._meta.fields if field.name != "seen_at"]
    before = list(Instance.objects.order_by("pk").values_list(*fields))
    history = list(SystemDisk.objects.order_by("pk").values())
    sync(clock)
    assert list(Instance.objects.order_by("pk").values_list(*fields)) == before
    assert list(SystemDisk.objects.order_by("pk").values()) == history
    assert calls(emulator, "DescribeInstanceTypes") == 1  # nothing new to learn of types


def test_due_only_after_its_interval(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    mirror = sync(clock)
    seen = len(emulator.journal())
    assert sync_due(clock=clock, budget_seconds=60).pages == 0
    assert len(emulator.journal()) == seen
    assert mirror.due_at is not None
    assert timedelta(seconds=50) < mirror.due_at - clock.now() <= timedelta(seconds=60)
    later = DatabaseClock(timedelta(seconds=61))
    assert sync_due(clock=later, budget_seconds=60).finished == 1


@pytest.mark.parametrize(("machines", "seconds"), [(0, 60), (1000, 60), (5000, 300), (100_000, 1800)])
def test_pace_by_size(machines: int, seconds: int) -> None:
    assert interval(machines) == timedelta(seconds=seconds)


def test_page_by_page_comes_to_the_same(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    emulator.reset(instances=500)
    reached = []
    for _ in range(100):
        done = sync_due(clock=clock, budget_seconds=60, pages=1)
        mirror = RegionMirror.objects.get()
        reached.append((mirror.stage, bool(mirror.cursor)))
        if done.finished:
            break
        assert done.pages == 1
    assert {stage for stage, _ in reached} == {*sync_stages.STAGES, ""}
    assert ("instances", True) in reached
    in_pages = list(Instance.objects.present().order_by("instance_id").values_list("instance_id", "disk_id"))
    assert calls(emulator, "DescribeInstances") == -(-len(in_pages) // 100)  # no page was read twice
    Instance.objects.all().delete()
    sync(clock)
    assert list(Instance.objects.order_by("instance_id").values_list("instance_id", "disk_id")) == in_pages


def test_goes_on_after_a_death_in_the_middle(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    emulator.reset(instances=500)
    sync_due(clock=clock, budget_seconds=60, pages=2)
    RegionMirror.objects.update(due_at=clock.now() + LEASE)  # as a process leaves it that is killed at work
    assert sync_due(clock=clock, budget_seconds=60).pages == 0
    assert sync_due(clock=DatabaseClock(LEASE), budget_seconds=60).finished == 1
    assert calls(emulator, "DescribeInstances") == -(-Instance.objects.count() // 100)


def test_what_vanished_is_marked_and_what_returns_is_there(
    emulator: Emulator, account: Account, clock: DatabaseClock
) -> None:
    sync(clock)
    ghosts = Instance.objects.filter(instance_id="i-23jggx34b")
    ghosts.update(instance_id="i-ghost")
    SystemDisk.objects.filter(instance__in=ghosts).update(disk_id="d-ghost")
    emulator.delete_image("m-myimage11")
    KeyPair.objects.create(account=account, region=REGION, name="old-pair", seen_at=clock.now())
    mirror = sync(clock)
    ghost = Instance.objects.get(instance_id="i-ghost")
    assert ghost.gone_at is not None
    assert ghost.disks.get().gone_at is not None
    assert Instance.objects.get(instance_id="i-23jggx34b").gone_at is None
    assert Image.objects.get(image_id="m-myimage11").gone_at is not None
    assert KeyPair.objects.get(name="old-pair").gone_at is not None
    assert mirror.instances == Instance.objects.present().count() == Instance.objects.count() - 1
    Instance.objects.filter(instance_id="i-23jggx34b").update(gone_at=clock.now())
    sync(clock)
    assert Instance.objects.get(instance_id="i-23jggx34b").gone_at is None


def test_disks_through_time(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    sync(clock)
    row = Instance.objects.get(instance_id="i-23jggx34b")
    SystemDisk.objects.filter(instance=row).update(disk_id="d-before")
    Instance.objects.filter(pk=row.pk).update(disk_id="d-before")
    sync(clock)
    former, present = row.disks.order_by("gone_at")
    assert (former.disk_id, former.gone_at is None) == ("d-before", False)
    assert (present.disk_id, present.gone_at) == (row.disk_id, None)


def test_the_old_disk_on_a_later_page_does_not_come_back(
    emulator: Emulator, account: Account, clock: DatabaseClock
) -> None:
    sync(clock)
    row = Instance.objects.get(instance_id="i-23jggx34b")
    client = client_for(account, REGION)
    (old,), _ = client.describe_disks(instance_id=row.instance_id, kind="system")
    assert old.created_at is not None
    new = replace(old, disk_id="d-newer", created_at=old.created_at + timedelta(days=1))
    for page in ([new], [old]):
        save_system_disks(account=account, disks=page, read_at=clock.now())
    row.refresh_from_db()
    assert row.disk_id == "d-newer"
    assert row.disks.get(gone_at=None).disk_id == "d-newer"


def test_snapshot_in_progress_comes_and_goes(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    emulator.patch_instance("i-23jggx34b", SystemDisk={"SnapshotInProgress": True})
    sync(clock)
    assert Instance.objects.get(instance_id="i-23jggx34b").disk_snapshot_running
    emulator.patch_instance("i-23jggx34b", SystemDisk={"SnapshotInProgress": False})
    sync(clock)
    assert not Instance.objects.get(instance_id="i-23jggx34b").disk_snapshot_running


def test_older_page_does_not_undo_a_fresher_reading(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    sync(clock)
    fresher = Instance.objects.filter(instance_id="i-23jggx34b")
    fresher.update(status="Starting", disk_id="d-newer", seen_at=clock.now() + timedelta(hours=1))
    sync(clock)
    row = fresher.get()
    assert (row.status, row.disk_id) == ("Starting", "d-newer")


@pytest.mark.parametrize(
    ("code", "kept"), [("Throttling.User", True), ("InternalError", True), ("Forbidden.RAM", False)]
)
def test_failure_is_noted_and_made_good(
    emulator: Emulator, account: Account, clock: DatabaseClock, code: str, kept: bool
) -> None:
    emulator.faults({"kind": "error", "action": "DescribeDisks", "code": code, "message": "Not now."})
    done = sync_due(clock=clock, budget_seconds=60)
    assert (done.finished, done.failed) == (0, 1)
    mirror = RegionMirror.objects.get()
    assert mirror.note == f"Not now. ({code})"
    assert mirror.stage == ("disks" if kept else "")
    assert mirror.synced_at is None
    assert mirror.due_at is not None
    assert mirror.due_at > clock.now()
    assert sync_due(clock=DatabaseClock(timedelta(minutes=6)), budget_seconds=60).finished == 1
    mirror.refresh_from_db()
    assert mirror.note == ""


def test_refusal_for_one_image_does_not_stop_the_sync(
    emulator: Emulator, account: Account, clock: DatabaseClock
) -> None:
    emulator.faults(
        {"kind": "error", "action": "DescribeImageSupportInstanceTypes", "code": "Forbidden.RAM", "times": 0}
    )
    sync(clock)
    assert calls(emulator, "DescribeImageSupportInstanceTypes") == sync_stages.IMAGES_ASKED_A_SYNC
    assert not Image.objects.exclude(supported_types=None).exists()


def test_account_without_credential_says_so(account: Account, clock: DatabaseClock) -> None:
    Account.objects.update(credential=None)
    assert sync_due(clock=clock, budget_seconds=60).failed == 1
    assert "has no credential" in RegionMirror.objects.get().note


def test_regions_follow_the_account(account: Account, clock: DatabaseClock) -> None:
    account.regions = ["cn-shanghai", "ap-southeast-1"]
    account.save()
    ensure_mirrors(clock=clock)
    RegionMirror.objects.update(instances=7)
    account.regions = ["cn-shanghai", "cn-hangzhou"]
    account.save()
    ensure_mirrors(clock=clock)
    assert dict(RegionMirror.objects.values_list("region", "instances")) == {"cn-shanghai": 7, "cn-hangzhou": 0}


def test_never_two_at_once(
    committed_db: CommittedDatabase, emulator: Emulator, open_account: Open, clock: DatabaseClock
) -> None:
    emulator.reset(instances=600)
    open_account()
    finished: list[int] = []

    def work() -> None:
        try:
            finished.append(sync_due(clock=DatabaseClock(), budget_seconds=60).finished)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(finished) == [0, 0, 0, 1]
    assert calls(emulator, "DescribeInstances") == -(-Instance.objects.count() // 100)


def test_overtaken_writes_nothing(
    emulator: Emulator, account: Account, clock: DatabaseClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sync_stages.STAGES["instances"]

    def slow(*given: object) -> sync_stages.Page:
        page = real(*given)  # type: ignore[arg-type]
        RegionMirror.objects.update(lease=1000)  # somebody else took over meanwhile
        return page

    monkeypatch.setitem(sync_stages.STAGES, "instances", slow)
    assert sync_due(clock=clock, budget_seconds=60, pages=1).finished == 0
    assert not Instance.objects.exists()
    mirror = RegionMirror.objects.get()
    assert (mirror.lease, mirror.cursor) == (1000, "")


def test_all_regions_at_once(emulator: Emulator, db: None, open_account: Open, clock: DatabaseClock) -> None:
    open_account(regions=["cn-hangzhou", "cn-shanghai", "ap-southeast-1"])
    mirrors = list(sync_all(clock=clock))
    assert {mirror.region for mirror in mirrors} == {"cn-hangzhou", "cn-shanghai", "ap-southeast-1"}
    assert all(mirror.note == "" and mirror.synced_at for mirror in mirrors)
    assert sum(mirror.instances for mirror in mirrors) == Instance.objects.present().count()
