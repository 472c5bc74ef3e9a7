"""Every page in its real states, judged by axe, in both themes, wide and narrow."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page

from fleet.changes.drafting import drafts
from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.models import Change, ChangeState, Instance, Replacement, ReplacementState
from fleet.web.instances import images
from tests.browser.conftest import World
from tests.browser.ledgers import ledger
from tests.support import fleets
from tests.support.browser import faults_of

# Which page, who looks at it, and how it came about: each name is a function below that returns the path.
PAGES = (
    ("sign_in", ""),
    ("sign_in_refused", ""),
    ("overview", "operator"),
    ("overview_of_reviewer", "reviewer"),
    ("instances", "operator"),
    ("instances_none", "operator"),
    ("instances_unticked", "auditor"),
    ("instance", "operator"),
    ("instance_replaced", "operator"),
    ("images", "operator"),
    ("draft_fresh", "operator"),
    ("draft_blocked", "operator"),
    ("checking", "operator"),
    ("review", "reviewer"),
    ("review", "operator"),
    ("approved", "operator"),
    ("run_live", "operator"),
    ("run_tripped", "operator"),
    ("run_finished", "operator"),
    ("run_act", "operator"),
    ("undo", "operator"),
    ("undo_of_change", "operator"),
    ("accounts", "admin"),
    ("account", "admin"),
    ("account", "operator"),
    ("people", "admin"),
    ("person", "admin"),
    ("person_invited", "admin"),
    ("choose_password", ""),
    ("changes", "operator"),
    ("changes_none", "auditor"),
    ("audit", "auditor"),
    ("forbidden", "operator"),
    ("not_found", "operator"),
    ("failed", "operator"),
)


@pytest.fixture(scope="module")
def states(world: World) -> dict[str, str]:
    """Make changes in every state once; return the path of each page."""
    # A page takes the database's time; the worker of these tests comes a little later.
    clock = ManualClock(datetime.now(UTC) + timedelta(seconds=30))
    image, arm = fleets.image_named("Ubuntu 24.04"), fleets.image_named("Ubuntu 24.04", architecture="arm64")
    spare = fleets.plain(15)

    def take(number: int) -> list[Instance]:
        return [spare.pop() for _ in range(number)]

    replaced = take(2)
    finished = fleets.started(replaced, image, clock, title="Two to Ubuntu 24.04")
    fleets.drive(clock)
    tripped = fleets.started(
        unlucky := take(3), image, clock, policy=fleets.Policy(max_in_flight=1, failures_allowed=0)
    )
    for machine in unlucky:
        world.emulator.patch_instance(machine.instance_id, unpaid_order=True)  # no Describe call shows it
    fleets.drive(clock)
    tripped.refresh_from_db()
    assert tripped.state == ChangeState.TRIPPED
    running_now = fleets.started(take(3), image, clock, policy=fleets.Policy(max_in_flight=2, failures_allowed=1))
    world.emulator.durations(stop=3600)
    fleets.drive(clock, until=lambda: _states(running_now, ReplacementState.STOPPING) == 2)
    world.emulator.durations(stop=0)
    cases = list(Instance.objects.filter(tags__has_key="case", region="cn-hangzhou")[:4])
    now = clock.now
    checking = fleets.draft(take(2), image, now())
    blocked = fleets.draft([*take(1), *cases], arm, now(), disk_size=30)
    fresh = drafts.create_draft(actor=fleets.person("operator"), instance_pks=[take(1)[0].pk], now=now())
    approved = fleets.approved(take(1), image, clock, title="One more")
    in_review = fleets.in_review(take(2), image, clock)
    drafts.submit(actor=fleets.person("operator"), change_id=checking.pk, now=DatabaseClock().now())
    assert finished.replacements.filter(state=ReplacementState.DONE).count() == 2
    ledger(finished)
    return {
        "sign_in": "/sign-in",
        "sign_in_refused": "/sign-in",
        "overview": "/",
        "overview_of_reviewer": "/",
        "instances": "/instances",
        "instances_none": "/instances?q=no-such-machine",
        "instances_unticked": "/instances",
        "instance": f"/instances/{cases[0].pk}",
        "instance_replaced": f"/instances/{replaced[0].pk}",
        "images": "/images",
        "draft_fresh": f"/changes/{fresh.pk}/edit",
        "draft_blocked": f"/changes/{blocked.pk}/edit",
        "checking": f"/changes/{checking.pk}",
        "review": f"/changes/{in_review.pk}",
        "approved": f"/changes/{approved.pk}",
        "run_live": f"/changes/{running_now.pk}",
        "run_tripped": f"/changes/{tripped.pk}",
        "run_finished": f"/changes/{finished.pk}",
        "run_act": f"/changes/{running_now.pk}/acts/cancel",
        "undo": "/undo",
        "undo_of_change": f"/undo?change={finished.pk}",
        "accounts": "/settings/accounts",
        "account": f"/settings/accounts/{replaced[0].account_id}",
        "people": "/settings/people",
        "person": f"/settings/people/{fleets.person('operator').pk}",
        "person_invited": f"/settings/people/{fleets.person('auditor').pk}",
        "choose_password": "/choose-password",
        "changes": "/changes",
        "changes_none": "/changes?view=waiting",
        "audit": "/audit",
        "forbidden": "/audit/export?format=csv",
        "failed": "/images",
        "not_found": "/changes/999999",
    }


def _states(change: Change, state: str) -> int:
    return Replacement.objects.filter(change=change, state=state).count()


def open_page(page: Page, name: str, path: str) -> None:
    """Bring a page into the state that its name says."""
    page.goto(path)
    if name == "sign_in_refused":
        page.get_by_label("Name").fill("operator")
        page.get_by_label("Password").fill("not the password")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").wait_for()
    elif name == "draft_blocked":
        page.locator("[name=title]").fill("")
        page.get_by_role("button", name="Submit for review").click()
        page.locator(".field .error, .part .error").first.wait_for()
    elif name == "person_invited":
        page.get_by_role("button", name="Make a code").click()
        page.get_by_role("heading", name="A code for").wait_for()
    elif name == "audit":
        page.locator(".event summary").first.click()
    elif name == "review":
        page.locator(".group-open").first.click()
        page.locator(".group-list table").first.wait_for()


@pytest.mark.parametrize(("name", "who"), PAGES, ids=[f"{name}-{who or 'nobody'}" for name, who in PAGES])
def test_page(
    states: dict[str, str], open_window: Callable[..., Page], monkeypatch: pytest.MonkeyPatch, name: str, who: str
) -> None:
    if name == "failed":
        monkeypatch.setattr(images, "partial", None)  # the site runs in a thread of this process
    page = open_window(who)
    open_page(page, name, states[name])
    found = faults_of(page)

    assert not found, "\n".join(found)
