"""A draft in the browser: slow and late answers, the keyboard alone, no script at all, and every state judged by axe."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from playwright.sync_api import Error, Page, Request, Route, expect

from fleet.changes.drafting import drafts
from fleet.guards.policy import Policy
from fleet.lib.clock import DatabaseClock
from fleet.models import Change, ChangeState, Image, Instance, Snapshot, Target
from tests.browser.conftest import World
from tests.support import fleets
from tests.support.browser import HAS_FOCUS, Keyboard, faults_of

MANY = 10_000


@pytest.fixture(scope="module")
def spare(world: World) -> list[Instance]:
    return fleets.plain(12)


@pytest.fixture(scope="module")
def ubuntu(world: World) -> Image:
    return fleets.image_named("Ubuntu 24.04")


@pytest.fixture
def draft(spare: list[Instance], ubuntu: Image) -> Change:
    return fleets.draft([spare.pop(), spare.pop()], ubuntu, DatabaseClock().now(), disk_size=None, title="", reason="")


@pytest.fixture
def page(open_window: Callable[..., Page], draft: Change) -> Page:
    opened = open_window("operator")
    opened.goto(f"/changes/{draft.pk}/edit")
    return opened


def test_a_late_answer_to_what_was_typed_before_is_never_shown(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route, request: Request) -> None:
        """Keep back the answer to the first value; let all later ones through."""
        if "disk_size=501" in (request.post_data or "") and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/validate/disk_size/", hold)
    size, keys = page.locator("input[name=disk_size]"), Keyboard(page)
    keys.fill(size, "501")
    page.wait_for_timeout(600)  # the pause of live validation, and the request
    assert len(held) == 1
    keys.press("Backspace", "x", "ArrowLeft")
    feedback = page.locator("#id_disk_size_feedback")
    expect(feedback.locator(".error code")).to_have_text("InvalidSystemDiskSize")
    with suppress(Error):  # the page may have given up on it, which is as good
        held[0].continue_()
    page.wait_for_timeout(600)

    expect(feedback.locator(".error code")).to_have_text("InvalidSystemDiskSize")
    expect(size).to_have_value("50x")
    assert size.evaluate(HAS_FOCUS)
    assert size.evaluate("field => [field.selectionStart, field.selectionEnd]") == [2, 2]


def test_what_follows_comes_late_and_the_field_that_is_typed_in_keeps_its_caret(page: Page) -> None:
    waiting: list[Route] = []
    page.route("**/edit/follows", lambda route: waiting.append(route))
    title, keys = page.locator("[name=title]"), Keyboard(page)
    keys.fill(title, "Abcd")
    page.wait_for_timeout(700)
    assert waiting
    keys.press("ArrowLeft", "ArrowLeft")
    page.unroute("**/edit/follows")
    for route in waiting:
        with suppress(Error):
            route.continue_()
    expect(page.locator("#submit-why")).to_contain_text("Still to come: a reason.")
    expect(title).to_have_value("Abcd")
    assert title.evaluate("field => [field.selectionStart, field.selectionEnd]") == [2, 2]


def test_an_invalid_submit_puts_the_focus_on_the_summary_and_opens_what_is_folded(page: Page, draft: Change) -> None:
    keys = Keyboard(page)
    keys.go(page.locator("#waves > summary"))
    keys.fill(page.locator("[name=canary]"), "one")
    keys.go(page.get_by_role("button", name="Submit for review"))
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("Nothing was submitted, and nothing was saved.")
    assert summary.evaluate(HAS_FOCUS)
    keys.go(summary.get_by_role("link", name="Canary"))
    expect(page.locator("[name=canary]")).to_have_value("one")
    expect(page.locator("[name=canary]")).to_be_visible()


def test_a_rollout_is_set_by_the_keyboard_alone(page: Page, draft: Change) -> None:
    keys = Keyboard(page)
    keys.go(page.locator("#waves > summary"))
    keys.fill(page.locator("[name=canary]"), "1")
    keys.select(page.locator("[name=hold]"), "For some time")
    keys.fill(page.locator("[name=hold_minutes]"), "20")
    growth = page.get_by_role("group", name="Then")
    keys.choose(growth, growth.locator("[value=ramp]"))
    expect(page.locator("#line-waves")).to_have_text("a canary of 1, held for 20 min, then 1, 2, 4 and so on")
    expect(page.locator("#follows .pairs")).to_contain_text("2 × 1")
    keys.tick(page.locator("[name=snapshot]"))
    keys.fill(page.locator("[name=snapshot_days]"), "30")
    expect(page.locator("#follows .pairs")).to_contain_text("each machine for 30 days")
    keys.go(page.get_by_role("button", name="Save draft").last)
    expect(page.get_by_text("The draft is saved.")).to_be_visible()
    draft.refresh_from_db()
    policy = Policy.of(draft.policy)
    assert (policy.canary, policy.hold, policy.hold_minutes, policy.growth) == (1, "timed", 20, "ramp")
    assert draft.snapshot_days == 30


def test_a_draft_is_filled_in_and_submitted_without_any_script(
    open_window: Callable[..., Page], draft: Change, ubuntu: Image
) -> None:
    page = open_window("operator", script=False)
    page.goto(f"/changes/{draft.pk}/edit")
    page.locator("input[name=q][type=search]#image-q").fill("Debian")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#images")).to_contain_text("Debian 12")
    page.locator(f"input[name=image_id][value='{ubuntu.image_id}']").check()
    page.locator("select[name=key_pair]").select_option("ops-2026")
    page.get_by_role("button", name="See the list").click()
    expect(page.get_by_role("region", name="Machines of this draft")).to_be_visible()
    page.locator("#waves > summary").click()
    page.locator("[name=canary]").fill("1")
    page.locator("[name=title]").fill("Without a script")
    page.get_by_role("button", name="Submit for review").click()
    expect(page.get_by_role("alert")).to_contain_text("One thing stands in the way")
    page.locator("[name=reason]").fill("Because.")
    page.get_by_role("button", name="Submit for review").click()
    expect(page.get_by_role("heading", name=re.compile("is read afresh from the cloud"))).to_be_visible()
    draft.refresh_from_db()
    assert (draft.state, Policy.of(draft.policy).canary, draft.title) == (ChangeState.CHECKING, 1, "Without a script")


def test_the_list_of_machines_follows_what_is_typed_as_the_panel_does(page: Page) -> None:
    page.get_by_role("button", name="See the list").click()
    listed = page.get_by_role("region", name="Machines of this draft")
    expect(listed).not_to_contain_text("is below the least size")
    page.locator("input[name=disk_size]").fill("10")
    expect(page.locator("#follows")).to_contain_text("is below the least size")
    expect(listed.get_by_text("is below the least size")).to_have_count(2)
    page.locator("input[name=disk_size]").fill("")
    expect(listed).not_to_contain_text("is below the least size")


# --- Every state, judged by axe.


@pytest.fixture(scope="module")
def states(world: World, spare: list[Instance], ubuntu: Image) -> dict[str, Change]:
    now, arm = DatabaseClock().now(), fleets.image_named("Ubuntu 24.04", architecture="arm64")
    cases = list(Instance.objects.filter(tags__has_key="case", region="cn-hangzhou")[:4])
    regions = [fleets.plain(1, region=name)[0] for name in Instance.objects.values_list("region", flat=True).distinct()]
    ready = [one for one in fleets.plain(12) if one.data_disks == 0 and one.image_id != ubuntu.image_id][-1:]
    return {
        "empty": drafts.create_draft(actor=fleets.person("operator"), instance_pks=[ready[0].pk], now=now),
        "blocked": fleets.draft([*ready, *cases], arm, now, disk_size=30),
        "warned": fleets.draft(regions, ubuntu, now, disk_size=200, snapshot_days=14),
        "ready": fleets.draft(ready, ubuntu, now, disk_size=None, login="image", key_pair=""),
        "policy_open": fleets.draft(
            ready, ubuntu, now, disk_size=None, policy=Policy(canary=1, hold="timed", hold_minutes=5)
        ),
        "undo": _undo(fleets.draft(ready, ubuntu, now, disk_size=None, login="image", key_pair="")),
        "many": _many(ready[0], fleets.draft(ready, ubuntu, now, disk_size=None)),
    }


def _undo(draft: Change) -> Change:
    target, now = draft.targets.select_related("instance").get(), DatabaseClock().now()
    one = target.instance
    Snapshot.objects.create(
        account=one.account,
        region=one.region,
        instance=one,
        snapshot_id="s-undo",
        disk_id=one.disk_id,
        size=40,
        os_type="linux",
        os_name="Ubuntu 20.04 64 bit",
        ready_at=now,
        created_at=now,
        expires_at=now + timedelta(days=9),
    )
    draft.targets.update(snapshot_id="s-undo")
    Change.objects.filter(pk=draft.pk).update(image_id="", images={}, undoes=draft)
    return draft


def _many(like: Instance, draft: Change) -> Change:
    values = {one.attname: getattr(like, one.attname) for one in Instance._meta.fields if not one.primary_key}
    rows = Instance.objects.bulk_create(
        Instance(**(values | {"instance_id": f"i-many-{n}", "name": f"many-{n:05}", "disk_size": 40 + 20 * (n % 9)}))
        for n in range(MANY - 1)
    )
    Target.objects.bulk_create(Target(change=draft, instance=one, position=place) for place, one in enumerate(rows, 1))
    return draft


@pytest.mark.parametrize("name", ["empty", "blocked", "warned", "ready", "policy_open", "undo", "many"])
def test_no_state_of_a_draft_has_a_fault(
    states: dict[str, Change], open_window: Callable[..., Page], name: str
) -> None:
    page = open_window("operator")
    page.goto(f"/changes/{states[name].pk}/edit")
    if name == "policy_open":
        page.evaluate("document.querySelectorAll('.fold').forEach(each => { each.open = true })")
        page.locator("[name=before_kind]").select_option("command")
        page.locator("[name=canary]").fill("x")
        page.locator("#id_canary_feedback .error").wait_for()
    if name == "many":
        page.get_by_role("button", name="See the list").click()
        page.get_by_role("region", name="Machines of this draft").wait_for()
        expect(page.locator("#follows .verdicts")).to_contain_text("10,000")
    found = faults_of(page)
    assert not found, "\n".join(found)
