"""A reviewer at work: the one group that matters on the first screen, from inbox to approval by keyboard, the moved plan."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from fleet.administration import approval_rules, calendars, kill_switch, webhooks
from fleet.administration.calendars import CalendarInput, EntryInput
from fleet.changes.review.groups import grouped
from fleet.lib.clock import DatabaseClock
from fleet.management.benches.review import in_review
from fleet.models import Account, Approval, Change, KillSwitch
from tests.browser.conftest import World
from tests.support import fleets
from tests.support.browser import Keyboard, faults_of
from tests.support.rules import rules_off

MACHINES = 1_000
FIRST_SCREEN = 800


@pytest.fixture(scope="module")
def thousand(world: World) -> Change:
    """A change of 1,000 machines in five groups, twenty of them Windows that becomes Linux."""
    change = in_review(Account.objects.get(), fleets.person("operator"), MACHINES)
    groups = grouped(change).groups
    assert (len(groups), groups[0].machines) == (5, 20)
    return change


def test_the_group_that_changes_family_is_on_the_first_screen(
    thousand: Change, open_window: Callable[..., Page]
) -> None:
    page = open_window("reviewer")
    page.goto(f"/changes/{thousand.pk}")
    expect(page.get_by_role("heading", name="1,000 machines will lose everything")).to_be_visible()
    first = page.locator(".group").first
    expect(first).to_contain_text("Windows and Linux change places")
    for part in (first.locator(".group-warn"), first.get_by_role("checkbox"), page.get_by_label("Type the number")):
        box = part.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= FIRST_SCREEN, f"{part} ends at {box}"
    assert page.evaluate("window.scrollY") == 0


def test_a_moved_plan_shows_what_moved_and_records_nothing(world: World, open_window: Callable[..., Page]) -> None:
    change = in_review(Account.objects.get(), fleets.person("operator"), 10)
    page = open_window("reviewer")
    keys = Keyboard(page)
    page.goto(f"/changes/{change.pk}")
    for box in page.get_by_role("checkbox", name=re.compile("^Seen")).all():
        keys.tick(box)
        expect(box).to_be_checked()
    keys.fill(page.get_by_label("Type the number"), "10")
    with rules_off():
        Change.objects.filter(pk=change.pk).update(disk_size=80, revision=2, spec_digest="b" * 64)
    keys.go(page.get_by_role("button", name=re.compile("^Approve")))
    expect(page.get_by_role("alert")).to_contain_text("The plan moved")
    expect(page.locator("#since tr", has_text="Disk size")).to_contain_text("80 GiB")
    assert not Approval.objects.filter(change=change).exists()


def test_from_the_inbox_to_the_approval_by_keyboard(
    thousand: Change, open_window: Callable[..., Page], report: Callable[[str], None]
) -> None:
    page = open_window("reviewer")
    keys = Keyboard(page)
    page.goto("/")
    begin = time.monotonic()
    keys.go(page.get_by_role("navigation", name="Main").get_by_role("link", name=re.compile("^Inbox")))
    keys.go(page.locator("#todo").get_by_role("link", name=re.compile("^Review.*1,000 machines")))
    expect(page.get_by_role("button", name=re.compile("^Approve"))).to_have_attribute("aria-disabled", "true")
    for box in page.get_by_role("checkbox", name=re.compile("^Seen")).all():
        keys.tick(box)
        expect(box).to_be_checked()
    expect(page.locator("#decide")).to_contain_text("marked as seen")
    expect(page.get_by_role("button", name=re.compile("^Approve"))).not_to_have_attribute("aria-disabled", "true")
    keys.fill(page.get_by_label("Type the number"), str(MACHINES))
    keys.go(page.get_by_role("button", name=re.compile("^Approve")))
    expect(page.get_by_role("heading", name="Approved")).to_be_visible()
    report(f"from the inbox to the approval by keyboard: {time.monotonic() - begin:.1f} s")
    approval = Approval.objects.get(change=thousand)
    assert len(approval.leaves) == MACHINES


@pytest.fixture(scope="module")
def rules(world: World, thousand: Change) -> Iterator[str]:
    """Rules of every kind, and the kill switch on in a region without machines of these tests; the path of a calendar."""
    admin = fleets.person("admin")
    night = CalendarInput("Nights", False, False, None, "", "", "Asia/Shanghai")
    calendar = calendars.save_calendar(actor=admin, calendar_id=None, given=night)
    hours = [datetime(2026, 12, 1, hour, tzinfo=UTC) for hour in (14, 18)]
    span = EntryInput("Every night", hours[0], hours[1], "daily", None)
    calendars.save_entry(actor=admin, calendar_id=calendar.pk, entry_id=None, given=span)
    many = approval_rules.RuleInput("Many machines", 2, 100_000, None, "", False, False)
    approval_rules.save_rule(actor=admin, rule_id=None, given=many)
    webhooks.add_webhook(actor=admin, name="chat", purpose="news", url="https://hooks.example.com/", events=[])
    now = DatabaseClock().now()
    kill_switch.press(actor=admin, account_id=None, region="cn-shanghai", reason="Stock is short", now=now)
    yield f"/settings/calendars/{calendar.pk}"
    KillSwitch.objects.filter(lifted_at=None).update(lifted_at=now, lifted_by=admin)


def test_axe_finds_nothing(thousand: Change, rules: str, open_window: Callable[..., Page]) -> None:
    found: list[str] = []
    paths = ["/settings/calendars", rules, "/settings/approvals", "/settings/kill-switch", "/settings/notifications"]
    for who, where in (("reviewer", ["/inbox", f"/changes/{thousand.pk}/reviewed"]), ("admin", paths)):
        page = open_window(who)
        for path in where:
            page.goto(path)
            found += [f"{path}, {fault}" for fault in faults_of(page)]
    assert not found, "\n".join(found)
