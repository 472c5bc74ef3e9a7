"""The main job through Django's client, against the emulator over HTTP: from the fleet to the trail, two people, real work."""

import re
from datetime import UTC, datetime

import pytest

from fleet.lib.clock import ManualClock
from fleet.models import AuditEvent, Change, ChangeState
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.support.pages import PageClient

pytestmark = pytest.mark.django_db


def signed_in(name: str) -> PageClient:
    client = PageClient()
    answer = client.post("/sign-in", {"username": name, "password": fleets.PASSWORD})
    assert answer.status_code == 302, answer.text
    return client


def test_the_operating_system_of_five_machines_changes(db: None, emulator_on_the_wire: Emulator) -> None:
    fleets.mirror(emulator_on_the_wire)
    machines = fleets.plain(5)
    image = fleets.image_named("Ubuntu 24.04")
    operator, reviewer = signed_in("operator"), signed_in("reviewer")

    # The operator finds the machines and ticks them.
    found = operator.get("/instances", {"q": machines[0].name}).text
    assert machines[0].instance_id in found
    answer = operator.post("/changes/new", {"instance": [machine.pk for machine in machines]})
    change = Change.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/changes/{change.pk}/edit"

    # A wrong size is told at once, with the API's code, before anything is sent or saved.
    form = {
        "image_id": image.image_id,
        "disk_size": "20",
        "login": "key_pair",
        "key_pair": "ops-2026",
        "max_in_flight": "2",
        "failures_allowed": "0",
        "title": "Web tier to Ubuntu 24.04",
        "reason": "Out of support; nothing on these disks is the only copy.",
    }
    live = operator.post(f"/changes/{change.pk}/edit/validate/disk_size/", form, headers={"HX-Request": "true"})
    assert "InvalidSystemDiskSize.ValueNotSupported" in live.text
    refused = operator.post(f"/changes/{change.pk}/edit/submit", form)
    assert refused.status_code == 422
    assert "Out of support; nothing on these disks" in refused.text, "what was typed is still there"

    # Submitted, read afresh by the worker, in review.
    assert operator.post(f"/changes/{change.pk}/edit/submit", form | {"disk_size": "60"}).status_code == 302
    change.refresh_from_db()
    assert change.state == ChangeState.CHECKING
    clock = ManualClock(datetime.now(UTC))
    fleets.check_all(clock)

    # The author has no such button, and a forged request is refused and on the trail.
    change.refresh_from_db()
    assert change.state == ChangeState.IN_REVIEW, change.check_note
    page = operator.get(f"/changes/{change.pk}").text
    assert f"/changes/{change.pk}/approve" not in page
    forged = operator.post(f"/changes/{change.pk}/approve", {"digest": change.spec_digest, "confirm": "5"})
    assert forged.status_code == 403
    assert AuditEvent.objects.filter(action="person.refused", actor_name="operator").exists()

    # The reviewer reads what will be lost, and approves exactly that.
    page = reviewer.get(f"/changes/{change.pk}").text
    assert "5 machines will lose everything on their system disk" in page
    digest = re.search(r'name="digest" value="(\w{64})"', page)
    assert digest
    approval = {"digest": digest[1], "confirm": "5"}
    assert reviewer.post(f"/changes/{change.pk}/approve", approval).status_code == 422, "a group is not yet seen"
    for key in re.findall(r'action="(/changes/\d+/groups/\w+/seen)"', page):
        assert reviewer.post(key, {"seen": "yes"}).status_code in (200, 302)
    assert reviewer.post(f"/changes/{change.pk}/approve", approval).status_code == 302
    assert reviewer.post(f"/changes/{change.pk}/start").status_code == 403, "an approver is no operator"

    # Started, done.
    assert operator.post(f"/changes/{change.pk}/start").status_code == 302
    fleets.drive(clock)
    change.refresh_from_db()
    assert change.state == ChangeState.FINISHED
    assert "5" in operator.get(f"/changes/{change.pk}").text

    # One new disk for each, as asked, and none for any other.
    disks = [disk for disk in emulator_on_the_wire.ledger()["disks"] if disk["how"] == "ReplaceSystemDisk"]
    assert sorted(disk["instance_id"] for disk in disks) == sorted(machine.instance_id for machine in machines)
    assert {(disk["size"], disk["image_id"]) for disk in disks} == {(60, image.image_id)}

    # The machine's page and the trail tell it.
    new_disk = next(disk for disk in disks if disk["instance_id"] == machines[0].instance_id)
    page = operator.get(f"/instances/{machines[0].pk}").text
    assert new_disk["disk_id"] in page
    assert machines[0].disk_id in page, "the old disk stays in its history"
    assert "Ubuntu 24.04" in page
    trail = operator.get("/audit", {"change": change.pk}).text
    for words in ("submitted", "approved", "replaced the system disk", new_disk["disk_id"], new_disk["request_id"]):
        assert words in trail, words
