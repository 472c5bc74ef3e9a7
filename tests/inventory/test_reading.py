"""Fresh readings: right, cheap, written into the mirror, and never partial."""

from datetime import timedelta

import pytest

from fleet.cloud import CloudError, Retryability
from fleet.inventory.credentials import client_for
from fleet.inventory.reading import refresh, refresh_images, refresh_key_pairs
from fleet.inventory.sync import sync_due
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Image, Instance
from tests.inventory.conftest import REGION, Open
from tests.support.emulator import Emulator

EXAMPLE = "i-23jggx34b"


@pytest.fixture
def mirrored(account: Account, clock: DatabaseClock) -> Account:
    sync_due(clock=clock, budget_seconds=60)
    return account


def actions(emulator: Emulator, since: int) -> list[str]:
    return [each["action"] for each in emulator.journal()[since:]]


def replaced(account: Account, row: Instance, token: str = "t-1") -> str:
    client = client_for(account, REGION)
    client.stop_instances(ids=[row.instance_id])
    return client.replace_system_disk(instance_id=row.instance_id, image_id="m-myimage11", client_token=token).disk_id


def test_what_the_cloud_shows(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    row = Instance.objects.get(instance_id=EXAMPLE)
    emulator.patch_instance(
        EXAMPLE,
        Status="Stopped",
        StoppedMode="KeepCharging",
        OperationLocks=["security"],
        KeyPairName="ops-2026",
        SystemDisk={"Tags": {"a": "1"}, "SnapshotInProgress": True, "DeleteAutoSnapshot": True},
    )
    before = clock.now()
    reading = refresh([row], clock)[row.pk]
    assert before <= reading.read_at <= clock.now()
    assert reading.exists
    assert (reading.status, reading.stopped_mode, reading.locks) == ("Stopped", "KeepCharging", ("security",))
    assert (reading.disk_id, reading.disk_size, reading.disk_status) == (row.disk_id, row.disk_size, "In_use")
    assert (reading.image_id, reading.disk_image_id) == (row.image_id, row.image_id)
    assert (reading.key_pair, reading.disk_tags) == ("ops-2026", {"a": "1"})
    assert reading.disk_created_at is not None
    assert reading.snapshot_running is True
    assert reading.delete_auto_snapshot
    row.refresh_from_db()
    assert (row.status, row.locks, row.key_pair, row.disk_tags) == ("Stopped", ["security"], "ops-2026", {"a": "1"})
    assert row.disk_snapshot_running
    assert row.seen_at == reading.read_at


def test_a_hundred_machines_cost_two_calls(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    rows = list(Instance.objects.order_by("pk")[:150])
    since = len(emulator.journal())
    readings = refresh(rows, clock, snapshots=False)
    assert readings.keys() == {row.pk for row in rows}
    assert actions(emulator, since) == ["DescribeInstances", "DescribeDisks"] * 2
    assert {reading.snapshot_running for reading in readings.values()} == {None}
    since = len(emulator.journal())
    refresh(rows, clock)
    assert sorted(actions(emulator, since)) == ["DescribeDisks"] * 2 + ["DescribeInstances"] * 2 + ["DescribeSnapshots"]


def test_new_disk_is_found_and_kept_in_the_history(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    row = Instance.objects.get(instance_id=EXAMPLE)
    new = replaced(mirrored, row)
    since = len(emulator.journal())
    reading = refresh([row], clock, snapshots=False)[row.pk]
    assert (reading.disk_id, reading.disk_image_id, reading.image_id) == (new, "m-myimage11", "m-myimage11")
    assert actions(emulator, since) == ["DescribeInstances", "DescribeDisks", "DescribeDisks"]
    old = row.disk_id
    row.refresh_from_db()
    assert row.disk_id == new
    assert new in row.search
    assert old not in row.search
    former, present = row.disks.order_by("gone_at")
    assert (former.disk_id, present.disk_id, present.gone_at) == (old, new, None)
    assert former.gone_at == reading.read_at
    assert present.os_name == row.os_name


def test_the_announced_disk_saves_a_call(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    row = Instance.objects.get(instance_id=EXAMPLE)
    new = replaced(mirrored, row)
    since = len(emulator.journal())
    reading = refresh([row], clock, also={row.pk: new}, snapshots=False)[row.pk]
    assert reading.disk_id == new
    assert actions(emulator, since) == ["DescribeInstances", "DescribeDisks"]


def test_old_disk_still_shown_hides_no_new_one(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    row = Instance.objects.get(instance_id=EXAMPLE)
    emulator.durations(replace=600)
    new = replaced(mirrored, row)
    # By its id the old disk is still there, and says nothing of the new one.
    assert refresh([row], clock, snapshots=False)[row.pk].disk_id == row.disk_id
    for options in ({"each": True}, {"also": {row.pk: new}}):
        reading = refresh([row], clock, snapshots=False, **options)[row.pk]
        assert (reading.disk_id, reading.disk_status) == (new, "Creating")


def test_gone_and_back(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    row = Instance.objects.get(instance_id=EXAMPLE)
    Instance.objects.filter(pk=row.pk).update(instance_id="i-nowhere")
    ghost = Instance.objects.get(pk=row.pk)
    reading = refresh([ghost], clock)[ghost.pk]
    assert (reading.exists, reading.status, reading.disk_id) == (False, "", "")
    ghost.refresh_from_db()
    assert ghost.gone_at == reading.read_at
    assert not ghost.disks.filter(gone_at=None).exists()
    Instance.objects.filter(pk=row.pk).update(instance_id=EXAMPLE)
    back = Instance.objects.get(pk=row.pk)
    assert refresh([back], clock)[back.pk].exists
    back.refresh_from_db()
    assert back.gone_at is None


def test_failure_is_never_a_partial_reading(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    rows = list(Instance.objects.order_by("pk")[:150])
    for action in ("DescribeInstances", "DescribeDisks", "DescribeSnapshots"):
        emulator.faults({"kind": "error", "action": action, "code": "InternalError"})
        with pytest.raises(CloudError) as caught:
            refresh(rows, clock)
        assert caught.value.retryability is Retryability.RETRY
    emulator.faults({"kind": "error", "action": "DescribeDisks", "code": "InternalError", "nth": 2})
    with pytest.raises(CloudError):
        refresh(rows, clock)


def test_over_accounts_and_regions(emulator: Emulator, db: None, open_account: Open, clock: DatabaseClock) -> None:
    open_account(regions=["cn-hangzhou", "cn-shanghai"])
    open_account(name="second", regions=["ap-southeast-1"])
    sync_due(clock=clock, budget_seconds=60)
    rows = list(Instance.objects.order_by("?"))
    readings = refresh(rows, clock)
    assert len({(row.account_id, row.region) for row in rows}) == 3
    assert {pk: reading.disk_id for pk, reading in readings.items()} == {row.pk: row.disk_id for row in rows}


def test_reading_of_a_stale_row_keeps_a_fresher_mirror(
    emulator: Emulator, mirrored: Account, clock: DatabaseClock
) -> None:
    row = Instance.objects.get(instance_id=EXAMPLE)
    Instance.objects.filter(pk=row.pk).update(seen_at=clock.now() + timedelta(hours=1), status="Starting")
    reading = refresh([row], clock)[row.pk]
    assert reading.status == "Running" or reading.status == "Stopped"
    row.refresh_from_db()
    assert row.status == "Starting"


def test_images(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    Image.objects.filter(image_id="m-myimage11").update(supported_types=None, size=1)
    found = refresh_images(mirrored, REGION, ["m-myimage11", "m-nowhere"], clock)
    image = found["m-myimage11"]
    assert image is not None
    assert image.size > 1
    assert image.supported_types is not None
    assert "ecs.g7.large" in image.supported_types
    assert found["m-nowhere"] is None
    emulator.delete_image("m-myimage11")
    assert refresh_images(mirrored, REGION, ["m-myimage11"], clock) == {"m-myimage11": None}
    assert Image.objects.get(image_id="m-myimage11").gone_at is not None


def test_many_images(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    wanted = [*Image.objects.values_list("image_id", flat=True), *(f"m-none{number}" for number in range(60))]
    found = refresh_images(mirrored, REGION, wanted, clock, types=False)
    assert {image_id for image_id, image in found.items() if image} == set(
        Image.objects.present().values_list("image_id", flat=True)
    )


def test_image_that_the_mirror_has_not_seen(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    assert refresh_images(account, REGION, ["m-myimage11"], clock)["m-myimage11"] is not None


def test_key_pairs(emulator: Emulator, mirrored: Account, clock: DatabaseClock) -> None:
    found = refresh_key_pairs(mirrored, REGION, ["ops-2026", "ops-*", "none"], clock)
    assert found["ops-2026"] is not None
    assert found["ops-2026"].name == "ops-2026"
    assert found["ops-*"] is None
    assert found["none"] is None
