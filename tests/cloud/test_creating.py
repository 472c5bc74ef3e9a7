"""Snapshots, images and commands against the emulator: each has its effect once, and says when it is done."""

import pytest

from fleet.cloud import EcsClient, InstanceView
from tests.cloud.conftest import plain
from tests.support.emulator import Emulator


def system_disk(client: EcsClient, machine: InstanceView) -> str:
    (disk,), _ = client.describe_disks(instance_id=machine.instance_id, kind="system")
    return disk.disk_id


def test_a_snapshot_becomes_an_image(emulator: Emulator, client: EcsClient) -> None:
    disk = system_disk(client, plain(client)[0])
    made = client.create_snapshot(disk_id=disk, name="before-12", days=7, client_token="snap-1", tags={"change": "12"})
    again = client.create_snapshot(disk_id=disk, name="before-12", days=7, client_token="snap-1", tags={"change": "12"})
    (snapshot,), _ = client.describe_snapshots(ids=[made.created_id])
    image = client.create_image(snapshot_id=made.created_id, name="back-12", client_token="image-1")
    (by_snapshot,), _ = client.describe_images(snapshot_id=made.created_id)

    assert again.created_id == made.created_id
    assert (snapshot.disk_id, snapshot.status, snapshot.name) == (disk, "accomplished", "before-12")
    assert [one.snapshot_id for one in client.describe_snapshots(disk_id=disk)[0]].count(made.created_id) == 1
    assert (by_snapshot.image_id, by_snapshot.status, by_snapshot.size) == (
        image.created_id,
        "Available",
        snapshot.size,
    )
    assert client.describe_snapshots(ids=[]) == ([], "")


def test_a_snapshot_takes_its_time(emulator: Emulator, client: EcsClient) -> None:
    emulator.durations(snapshot=600)
    disk = system_disk(client, plain(client)[0])
    made = client.create_snapshot(disk_id=disk, name="slow", days=1, client_token="slow")
    (snapshot,), _ = client.describe_snapshots(ids=[made.created_id])
    assert snapshot.status == "progressing"


def test_a_command_reports_for_each_machine(emulator: Emulator, client: EcsClient) -> None:
    machines = plain(client)[:50]
    emulator.faults({"action": "RunCommand", "kind": "serves_not", "instance": machines[1].instance_id, "times": 1})
    ids = [one.instance_id for one in machines]
    made = client.run_command(
        ids=ids, kind="RunShellScript", content="systemctl is-active web", timeout=60, name="after", client_token="run"
    )
    results = {one.instance_id: one for one in client.invocation_results(invoke_id=made.created_id)}

    assert list(results) == ids
    assert (results[ids[0]].status, results[ids[0]].exit_code) == ("Finished", 0)
    assert (results[ids[1]].status, results[ids[1]].exit_code) == ("Failed", 1)
    assert results[ids[1]].error_code == "ExitCodeNonzero"
    assert client.invocation_results(invoke_id="t-unknown") == []


def test_none_leaves_without_a_token_or_for_nobody(emulator: Emulator, client: EcsClient) -> None:
    with pytest.raises(ValueError, match="ClientToken"):
        client.create_snapshot(disk_id="d-1", name="x", days=1, client_token="")
    with pytest.raises(ValueError, match="ClientToken"):
        client.create_image(snapshot_id="s-1", name="x", client_token="é")
    with pytest.raises(ValueError, match="Between 1 and 50"):
        client.run_command(ids=[], kind="RunShellScript", content="true", timeout=1, name="x", client_token="t")
    with pytest.raises(ValueError, match="kept for"):
        client.create_snapshot(disk_id="d-1", name="x", days=0, client_token="t")
    assert emulator.journal() == []
