"""The calls against the emulator: what is read is typed and whole, what is asked for happens."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from fleet.cloud import CloudError, EcsClient, parse
from fleet.cloud.changing import settable
from tests.cloud.conftest import Connect, every_instance, plain
from tests.support.emulator import Emulator


def test_regions(client: EcsClient) -> None:
    assert "cn-hangzhou" in {region.region_id for region in client.describe_regions()}


def test_every_page_once(emulator: Emulator, client: EcsClient) -> None:
    emulator.reset(instances=700)
    found = every_instance(client)
    assert len(found) > 200
    assert len({one.instance_id for one in found}) == len(found)
    pages = [each for each in emulator.journal() if each["action"] == "DescribeInstances"]
    assert len(pages) == -(-len(found) // 100)
    disks, token = client.describe_disks(kind="system")
    while token:
        more, token = client.describe_disks(kind="system", next_token=token)
        disks += more
    assert {disk.instance_id for disk in disks} == {one.instance_id for one in found}


def test_named_machines(client: EcsClient) -> None:
    ids = [one.instance_id for one in every_instance(client)][:100]
    found, token = client.describe_instances(ids=[*ids[:99], "i-nowhere"])
    assert {one.instance_id for one in found} == set(ids[:99])
    assert token == ""


def test_nothing_asked_is_nothing_sent(emulator: Emulator, client: EcsClient) -> None:
    assert client.describe_instances(ids=[]) == ([], "")
    assert client.describe_disks(disk_ids=[]) == ([], "")
    assert client.describe_images(image_ids=[]) == ([], None)
    assert emulator.journal() == []


def test_instance_is_typed(emulator: Emulator, client: EcsClient) -> None:
    emulator.patch_instance("i-23jggx34b", OperationLocks=["security"], Tags={"env": "prod"}, KeyPairName="")
    (view,), _ = client.describe_instances(ids=["i-23jggx34b"])
    assert view.locks == ("security",)
    assert view.tags == {"env": "prod"}
    assert view.key_pair == ""
    assert view.region == "cn-hangzhou"
    assert view.os_type in ("linux", "windows")
    assert view.created_at is not None
    assert view.created_at.tzinfo is UTC
    assert "  " not in view.os_name
    expires = {(view.charge_type, view.expires_at is not None) for view in every_instance(client)}
    assert expires == {("PrePaid", True), ("PostPaid", False)}


def test_disk_is_typed(client: EcsClient) -> None:
    (disk,), _ = client.describe_disks(instance_id="i-23jggx34b", kind="system")
    assert disk.kind == "system"
    assert disk.status == "In_use"
    assert disk.size >= 20
    assert disk.created_at is not None
    assert disk.created_at.tzinfo is UTC
    assert client.describe_disks(disk_ids=[disk.disk_id, "d-nowhere"])[0] == [disk]


def test_images_key_pairs_types(emulator: Emulator, client: EcsClient) -> None:
    images, page = client.describe_images()
    while page:
        more, page = client.describe_images(page=page)
        images += more
    assert {image.owner for image in images} >= {"system", "self", "others", "marketplace"}
    assert {image.architecture for image in images} >= {"x86_64", "arm64"}
    (example,), page = client.describe_images(image_ids=["m-myimage11", "m-nowhere"])
    assert example in images
    assert page is None
    emulator.patch_image("m-myimage11", Status="Deprecated")
    (deprecated,), _ = client.describe_images(image_ids=["m-myimage11"])
    assert deprecated.status == "Deprecated"
    assert "ecs.g7.large" in client.image_support_types(image_id="m-myimage11")
    assert {pair.name for pair in client.describe_key_pairs()[0]} >= {"ops-2024", "ops-2026"}
    assert [pair.name for pair in client.describe_key_pairs(name="ops-2026")[0]] == ["ops-2026"]
    types = {one.name: one for one in client.describe_instance_types()[0]}
    assert types["ecs.g7.large"].architecture == "x86_64"
    assert types["ecs.g7.large"].memory == 8192
    assert types["ecs.g8y.large"].architecture == "arm64"


def test_image_with_data_disks_shows_it(client: EcsClient) -> None:
    images, _ = client.describe_images()
    with_data = {image.image_id for image in images if image.data_disk_snapshots}
    assert with_data
    assert "m-myimage11" not in with_data


def test_snapshot_in_progress(emulator: Emulator, client: EcsClient) -> None:
    before = {one.disk_id for one in client.describe_snapshots()[0]}
    (disk,), _ = client.describe_disks(instance_id="i-23jggx34b", kind="system")
    emulator.patch_instance("i-23jggx34b", SystemDisk={"SnapshotInProgress": True})
    found, _ = client.describe_snapshots()
    assert {one.disk_id for one in found} - before == {disk.disk_id}
    assert {one.status for one in found} == {"progressing"}


def test_stop_and_start_say_it_machine_by_machine(client: EcsClient) -> None:
    ids = [one.instance_id for one in plain(client)[:3]]
    stopped = client.stop_instances(ids=["i-nowhere", *ids])
    assert stopped.request_id
    assert [(one.instance_id, one.ok) for one in stopped.machines] == [
        ("i-nowhere", False),
        *[(each, True) for each in ids],
    ]
    assert stopped.machines[0].code == "InvalidInstanceId.NotFound"
    views, _ = client.describe_instances(ids=ids)
    assert {(view.status, view.stopped_mode) for view in views} == {("Stopped", "KeepCharging")}
    again = client.stop_instances(ids=ids[:1])
    assert again.request_id
    started = client.start_instances(ids=ids)
    assert [(machine.instance_id, machine.ok) for machine in started.machines] == [(id_, True) for id_ in ids]


def test_replacement_and_what_it_lost_put_back(emulator: Emulator, client: EcsClient) -> None:
    machine = plain(client, status="Stopped")[0]
    (old,), _ = client.describe_disks(instance_id=machine.instance_id, kind="system")
    answer = client.replace_system_disk(
        instance_id=machine.instance_id,
        image_id=machine.image_id,
        size=old.size + 10,
        key_pair="ops-2026",
        security_enhancement=False,
        client_token="c-1",
    )
    assert answer.request_id
    assert client.describe_disks(disk_ids=[old.disk_id])[0] == []
    (new,), _ = client.describe_disks(disk_ids=[answer.disk_id])
    assert (new.instance_id, new.size, new.image_id) == (machine.instance_id, old.size + 10, machine.image_id)
    policies = {disk.snapshot_policy for disk in client.describe_disks(kind="system")[0]} - {""}
    assert policies
    policy = policies.pop()
    assert client.apply_auto_snapshot_policy(policy_id=policy, disk_ids=[new.disk_id])
    assert client.tag_disks(disk_ids=[new.disk_id], tags={"a": "1", "b": "2"})
    (after,), _ = client.describe_disks(disk_ids=[new.disk_id])
    assert (after.snapshot_policy, after.tags) == (policy, {"a": "1", "b": "2"})
    bound = client.attach_key_pair(name="ops-2024", ids=[machine.instance_id, "i-nowhere"])
    assert [one.ok for one in bound.machines] == [True, False]
    (view,), _ = client.describe_instances(ids=[machine.instance_id])
    assert view.key_pair == "ops-2024"


def test_inherited_password(emulator: Emulator, client: EcsClient) -> None:
    machine = plain(client, status="Stopped")[0]
    emulator.patch_image(machine.image_id, has_password=True)
    client.replace_system_disk(
        instance_id=machine.instance_id, image_id=machine.image_id, password_inherit=True, client_token="inherit"
    )
    assert emulator.ledger()["logins"][machine.instance_id]["image_password"] is True


def test_an_empty_list_never_means_all(emulator: Emulator, client: EcsClient) -> None:
    for ids in ([], [f"i-{number}" for number in range(101)]):
        with pytest.raises(ValueError, match="a call"):
            client.stop_instances(ids=ids)
        with pytest.raises(ValueError, match="a call"):
            client.start_instances(ids=ids)
        with pytest.raises(ValueError, match="a call"):
            client.attach_key_pair(name="ops-2026", ids=ids)
        with pytest.raises(ValueError, match="a call"):
            client.apply_auto_snapshot_policy(policy_id="sp-1", disk_ids=ids)
        with pytest.raises(ValueError, match="a call"):
            client.tag_disks(disk_ids=ids, tags={"a": "1"})
    with pytest.raises(ValueError, match="a call"):
        client.describe_instances(ids=[f"i-{number}" for number in range(101)])
    with pytest.raises(ValueError, match="a call"):
        client.tag_disks(disk_ids=["d-1"], tags={})
    assert emulator.journal() == []


def test_refusal_keeps_code_and_request_id(emulator: Emulator, client: EcsClient) -> None:
    running = plain(client)[0]
    with pytest.raises(CloudError) as caught:
        client.replace_system_disk(instance_id=running.instance_id, image_id=running.image_id, client_token="running")
    assert caught.value.code == "IncorrectInstanceStatus"
    assert caught.value.request_id == emulator.journal()[-1]["request_id"]


def test_one_client_for_many_threads(connect: Connect) -> None:
    client = connect()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.describe_instances(ids=["i-23jggx34b"]), range(64)))
    assert [views[0].instance_id for views, _ in answers] == ["i-23jggx34b"] * 64


def test_times_of_both_precisions() -> None:
    assert parse.when("2024-04-14T22:32Z") == datetime(2024, 4, 14, 22, 32, tzinfo=UTC)
    assert parse.when("2024-04-16T02:11:02Z") == datetime(2024, 4, 16, 2, 11, 2, tzinfo=UTC)
    assert parse.when("") is None
    with pytest.raises(ValueError, match="does not match"):
        parse.when("2024-04-14 22:32")


def test_a_machine_that_the_answer_passes_over() -> None:
    answer = {"RequestId": "r", "InstanceResponses": {"InstanceResponse": [{"InstanceId": "i-1", "Code": 200}]}}
    found = parse.batch(answer, ["i-1", "i-2"])
    assert [(one.ok, one.code) for one in found.machines] == [(True, "200"), (False, "FleetOS.NotAnswered")]


def test_tags_of_the_provider_cannot_be_set() -> None:
    assert settable({"acs:ecs:x": "1", "aliyun.y": "2", "team": "web"}) == {"team": "web"}
