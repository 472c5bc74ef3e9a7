"""The main job in a real Chromium, by the keyboard alone, with a real worker and the emulator over HTTP."""

import re
import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

from fleet.models import AuditEvent, Change, Instance
from tests.browser import journeys
from tests.browser.conftest import World
from tests.browser.journeys import Wanted
from tests.support import fleets
from tests.support.browser import Keyboard


def test_five_machines_get_a_new_system(
    world: World, open_window: Callable[..., Page], report: Callable[[str], None]
) -> None:
    world.emulator.durations(stop=1, replace=3, start=1)
    wanted = Wanted(
        machines=journeys.first_running(5),
        image=fleets.image_named("Ubuntu 24.04"),
        size=60,
        key_pair="ops-2026",
        title="Web tier to Ubuntu 24.04",
        reason="Ubuntu 20.04 is out of support; nothing on these disks is the only copy.",
    )
    before = {machine.pk: machine.disk_id for machine in wanted.machines}
    with journeys.working(world):
        begin = time.monotonic()
        operator = journeys.signs_in(open_window(), "operator")
        journeys.picks(operator, wanted.machines)
        change = Change.objects.get(pk=journeys.drafts(operator, wanted))
        page = operator.page
        # The page of the check turns into the review by itself.
        expect(page.get_by_role("heading", name="Waits for a review")).to_be_visible(timeout=journeys.LONG)
        expect(page.get_by_role("button", name=re.compile("Approve"))).to_have_count(0)
        expect(page.locator("#decide")).to_contain_text(
            "You wrote this change; somebody who had no hand in it approves it."
        )

        reviewer = journeys.signs_in(open_window(), "reviewer")
        journeys.approves(reviewer, wanted)

        journeys.starts(operator, wanted)
        seen = journeys.watches(operator, wanted)
        assert len(seen) > 2, f"no progress was shown between start and end: {seen}"
        trail_tells_all(operator, world, wanted, change, before)
        machine_shows_its_disk(operator, wanted, before)
        report(f"journey by keyboard: {time.monotonic() - begin:.0f} s")

    disks = [disk for disk in world.emulator.ledger()["disks"] if disk["how"] != "seed"]
    assert sorted(disk["instance_id"] for disk in disks) == sorted(each.instance_id for each in wanted.machines)
    assert {(disk["image_id"], disk["size"], disk["how"]) for disk in disks} == {
        (wanted.image.image_id, 60, "ReplaceSystemDisk")
    }


def trail_tells_all(keys: Keyboard, world: World, wanted: Wanted, change: Change, before: dict[int, str]) -> None:
    """Go to the change's history; read who asked, who approved, and each call with its RequestId and both disks."""
    page = keys.page
    keys.go(page.get_by_role("link", name="History"))
    expect(page.get_by_role("heading", name="Audit trail")).to_be_visible()
    for who, what in (
        ("operator", "drafted"),
        ("operator", "submitted"),
        ("reviewer", "approved"),
        ("operator", "started"),
        ("system", "finished"),
    ):
        line = page.locator("summary", has_text=re.compile(rf"{who}.*{what}.*#{change.pk}(?!\d)", re.S))
        expect(line).to_have_count(1)
    calls = {str(entry["request_id"]) for entry in world.emulator.journal(action="ReplaceSystemDisk")}
    told = set()
    events = AuditEvent.objects.filter(change=change, action="instance.disk_replaced").order_by("-number")
    assert events.count() == len(wanted.machines)
    for event in events:
        machine = Instance.objects.get(pk=event.instance_id)
        place = page.locator(f"#event-{event.number}")
        keys.go(place.locator("summary"))
        expect(place.locator("summary")).to_contain_text(f"replaced the system disk of {machine.name}")
        expect(place).to_contain_text(event.request_id)
        expect(place).to_contain_text(before[machine.pk])
        expect(place).to_contain_text(machine.disk_id)
        told.add(event.request_id)
    assert told == calls


def machine_shows_its_disk(keys: Keyboard, wanted: Wanted, before: dict[int, str]) -> None:
    """Go from the last event that is open to its machine; read its new disk, its old one, and its image."""
    page = keys.page
    keys.go(page.locator("details[open] dd a[href*='/instances/']").last)
    facts = page.locator(".inst-side")
    expect(facts).to_contain_text(wanted.image.image_id)
    expect(facts).to_contain_text("60 GiB")
    machine = Instance.objects.get(pk=int(page.url.rsplit("/", 1)[1]))
    assert machine.disk_id != before[machine.pk]
    disks = page.locator("#disks tbody tr")
    expect(disks).to_have_count(2)
    expect(disks.first).to_contain_text(machine.disk_id)
    expect(disks.first).to_contain_text("In use")
    expect(disks.last).to_contain_text(before[machine.pk])
    expect(disks.last).to_contain_text("Destroyed")
