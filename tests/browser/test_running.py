"""A run under way: cause and next act on the first screen of a stopped one, by keyboard alone; focus that polls leave alone."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from fleet.guards.policy import Policy
from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.models import Account, Change, ChangeState, Replacement
from tests.browser.conftest import World
from tests.support import fleets
from tests.support.browser import Keyboard, faults_of
from tests.support.rules import rules_off
from tests.web.change.run.test_live import run_of

FIRST_SCREEN = 800
POLL = 10_000  # ms in which a poll has come, also on busy cores
WATCH = """
    window.long = [];
    new PerformanceObserver((list) => window.long.push(...list.getEntries().map((each) => each.duration)))
        .observe({ entryTypes: ["longtask"] });
"""


@pytest.fixture
def running(world: World) -> Iterator[Change]:
    """A run of six: one done, one failed, two held with lost answers, two queued."""
    clock = ManualClock(datetime.now(UTC) + timedelta(seconds=30))
    free = [one for one in fleets.plain(12) if not one.targets.filter(open=True).exists()]
    policy = Policy(max_in_flight=4, failures_allowed=4)
    change = fleets.started(free[:6], fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    now = DatabaseClock().now()
    lost: dict[str, Any] = {
        "state": "held",
        "held_from": "replacing",
        "first_sent_at": now,
        "note": "The answer was lost.",
    }
    told: tuple[dict[str, Any], ...] = (
        {"state": "done", "outcome": "succeeded", "new_disk_id": "d-new1", "finished_at": now, "note": "In use."},
        {
            "state": "failed",
            "outcome": "failed_untouched",
            "finished_at": now,
            "error_code": "INST_HAS_UNPAID_ORDER",
            "note": "An order of this instance is not paid.",
        },
        lost | {"token": f"a{change.pk}"},
        lost | {"token": f"b{change.pk}"},
        {"state": "queued"},
        {"state": "queued"},
    )
    for row, fields in zip(change.replacements.order_by("target__position"), told, strict=True):
        Replacement.objects.filter(pk=row.pk).update(**({"due_at": None} | fields))
    yield change
    with rules_off():  # the next test takes the same machines
        change.targets.update(open=False)
        Change.objects.filter(pk=change.pk).update(state="finished", finished_at=now)


@pytest.fixture
def tripped(running: Change) -> Change:
    with rules_off():
        Change.objects.filter(pk=running.pk).update(state="tripped", waits_for="3 machines failed; 2 may.")
    running.refresh_from_db()
    return running


def test_a_stopped_run_shows_cause_and_next_act_first_and_is_settled_by_keyboard_alone(
    tripped: Change, open_window: Callable[..., Page], report: Callable[[str], None]
) -> None:
    page = open_window("operator")
    keys = Keyboard(page)
    began = time.monotonic()
    page.goto(f"/changes/{tripped.pk}")
    state, cause = page.locator("#run-state"), page.locator("#run-causes .cause").first
    expect(state).to_contain_text("It stopped by itself. 3 machines failed; 2 may.")
    expect(state).to_contain_text("Next: settle 2 held machines by their causes")
    expect(cause).to_contain_text("What was done is not certain")
    give_up = cause.get_by_role("link", name="Give up")
    for part in (state, cause, cause.get_by_role("link", name="Look again"), give_up, page.locator("#do-cancel")):
        box = part.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= FIRST_SCREEN, f"{part} ends at {box}"
    assert page.evaluate("window.scrollY") == 0

    keys.go(give_up)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 machines count as failed: 2 past the line of no return, left as they stand")
    assert faults_of(page, widths=(1280,)) == []  # a narrower window would move what has the focus
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    expect(give_up).to_be_focused()
    keys.press("Enter")
    expect(dialog).to_be_visible()
    keys.go(dialog.get_by_role("button", name="Give up"))
    expect(page.locator("#run-state")).to_contain_text("ask for a fresh approval of 2 machines")
    keys.go(page.get_by_role("link", name="Ask for a fresh approval"))
    expect(dialog).to_contain_text("Reviewers are asked to approve 2 machines afresh.")
    keys.go(dialog.get_by_role("button", name="Ask for it"))
    expect(dialog).to_contain_text("Say what failed and why the rest will not")
    keys.fill(dialog.get_by_label("What failed, and why will the rest not?"), "The order is paid now.")
    keys.go(dialog.get_by_role("button", name="Ask for it"))
    expect(page.locator("#run-state")).to_contain_text("The rest waits for a fresh approval: The order is paid now.")
    tripped.refresh_from_db()
    assert tripped.round == 2
    report(
        f"a stopped run settled by keyboard alone: {time.monotonic() - began:.1f} s, cause and next act on screen one"
    )


def test_polls_bring_what_moved_and_leave_the_focus_alone(running: Change, open_window: Callable[..., Page]) -> None:
    page = open_window("operator")
    page.goto(f"/changes/{running.pk}")
    page.evaluate("window.sameDocument = true")
    page.locator("#do-pause").focus()
    running.replacements.filter(state="queued").update(note="It waits for its turn.")
    expect(page.locator("#machines")).to_contain_text("It waits for its turn.", timeout=POLL)
    expect(page.locator("#do-pause")).to_be_focused()
    look = page.locator("#run-causes").get_by_role("link", name="Look again")
    look.focus()
    one = running.replacements.filter(state="queued")[0]
    Replacement.objects.filter(pk=one.pk).update(
        state="held", held_from="replacing", first_sent_at=DatabaseClock().now(), token=f"c{running.pk}"
    )
    expect(page.locator("#run-causes .cause .n").first).to_have_text("3", timeout=POLL)
    expect(look).to_be_focused()
    with rules_off():
        Change.objects.filter(pk=running.pk).update(state="finished", finished_at=DatabaseClock().now())
    expect(page.locator("#outcome-h")).to_be_visible(timeout=POLL)
    assert page.locator("#gauges").get_attribute("hx-trigger") is None
    assert page.evaluate("window.sameDocument === true")


def test_without_a_script_every_act_is_a_page_with_its_effect(
    running: Change, open_window: Callable[..., Page]
) -> None:
    page = open_window("operator", script=False)
    page.goto(f"/changes/{running.pk}")
    page.locator("#do-pause").click()
    expect(page.locator(".run-effect")).to_contain_text("2 machines wait.")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#run-state")).to_contain_text("Paused.")
    running.refresh_from_db()
    assert running.state == ChangeState.PAUSED


def test_ten_thousand_machines_are_watched_smoothly(
    world: World, open_window: Callable[..., Page], report: Callable[[str], None]
) -> None:
    change = run_of(Account.objects.get(), fleets.person("operator"), 10_000, first=1_000_000, waves=100)
    page = open_window("operator")
    page.goto(f"/changes/{change.pk}")
    nodes = page.evaluate("document.querySelectorAll('*').length")
    page.evaluate(WATCH)
    page.evaluate("setTimeout(() => { const end = performance.now() + 150; while (performance.now() < end); })")
    page.wait_for_function("window.long.length > 0")  # it sees a task that is long
    page.evaluate("window.long = []")
    for number in range(3):
        change.replacements.filter(state="held").update(note=f"Seen {number}.")
        expect(page.locator("#machines")).to_contain_text(f"Seen {number}.", timeout=3 * POLL)
    longest = max(page.evaluate("window.long"), default=0)
    report(f"10,000 machines on the run's page: {nodes:,} elements, longest task of three polls {longest:.0f} ms")
    assert nodes < 2_000
    assert longest < 1_000
