"""The main job, step by step, by the keyboard alone: what an operator and a reviewer do in two browsers."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from fleet.lib.clock import DatabaseClock
from fleet.management.processes.child import wait_for
from fleet.models import Heartbeat, Image, Instance
from tests.browser.conftest import World
from tests.management.worker.test_worker import worker
from tests.support import fleets
from tests.support.browser import Keyboard

LONG = 60_000  # ms for what the worker does


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the operator has in mind; with a `password` it is the login, else the key pair."""

    machines: list[Instance]
    image: Image
    size: int
    title: str
    reason: str
    key_pair: str = ""
    password: str = ""


def first_running(number: int) -> list[Instance]:
    """Return machines that nothing stands against, from the first page of the running ones of their region."""
    shown = Instance.objects.filter(gone_at=None, region="cn-hangzhou", status="Running").order_by("name", "pk")[:25]
    plain = {machine.pk for machine in fleets.plain(15)}
    found = [machine for machine in shown if machine.pk in plain][:number]
    assert len(found) == number, "too few plain machines on the first page"
    return found


@contextmanager
def working(world: World) -> Iterator[None]:
    """Run a worker on the test's database for as long; it has begun to tick."""
    log = world.var / "worker.log"
    begin = DatabaseClock().now()
    ticked = Heartbeat.objects.filter(name="tick", at__gt=begin)
    with worker(folder=world.var, command=("worker",)):
        assert wait_for(what=ticked.exists, seconds=40, every=0.1), log.read_text()
        yield


def signs_in(page: Page, name: str) -> Keyboard:
    """Open the site, and sign in: the only address that is ever typed."""
    keys = Keyboard(page)
    page.goto("/")
    keys.fill(page.get_by_label("Name"), name)
    keys.fill(page.get_by_label("Password"), fleets.PASSWORD)
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return keys


def picks(keys: Keyboard, machines: list[Instance]) -> None:
    """Filter the fleet to running machines of one region and one system, tick the wanted ones, press Change OS."""
    page = keys.page
    keys.go(page.get_by_role("navigation", name="Main").get_by_role("link", name="Instances"))
    expect(page.get_by_role("heading", name="Instances")).to_be_visible()
    region = machines[0].region
    keys.select(page.get_by_label("Region"), region)
    expect(page).to_have_url(re.compile(f"region={region}"))
    keys.select(page.get_by_label("State", exact=True), "Running")
    expect(page).to_have_url(re.compile("status=Running"))
    shown = Instance.objects.filter(gone_at=None, region=region, status="Running").count()
    expect(page.locator("#matching")).to_have_text(re.compile(rf"^{shown} machines match"))
    for machine in machines:
        keys.tick(page.get_by_role("checkbox", name=f"Select {machine.name}", exact=True))
    act = page.get_by_role("button", name=f"Change OS of {len(machines)}")
    keys.go(act)
    expect(page.get_by_text("nobody is asked before you submit it")).to_be_visible()


def drafts(keys: Keyboard, wanted: Wanted) -> int:
    """Choose everything on the draft's page, read that all are ready, submit; return the change's number."""
    page = keys.page
    number = int(page.url.split("/changes/")[1].split("/")[0])
    keys.fill(page.get_by_label("Find an image by name or id"), wanted.image.image_id)
    images = page.locator("#images")
    expect(images.get_by_role("radio")).to_have_count(1)
    keys.choose(images, page.locator(f"input[name=image_id][value='{wanted.image.image_id}']"))
    keys.fill(page.get_by_label("Size in GiB"), str(wanted.size))
    login = page.get_by_role("group", name="How to sign in afterwards")
    keys.choose(login, login.locator(f"[value={'password' if wanted.password else 'key_pair'}]"))
    if wanted.password:
        keys.fill(page.get_by_label("Password", exact=False).and_(page.locator("[type=password]")), wanted.password)
    else:
        keys.select(page.locator("select[name=key_pair]"), wanted.key_pair)
    keys.fill(page.locator("[name=title]"), wanted.title)
    keys.fill(page.locator("[name=reason]"), wanted.reason)
    verdicts = page.locator("#follows .verdicts")
    expect(verdicts).to_contain_text(re.compile(r"\b0\s*blocked"))
    keys.go(page.get_by_role("button", name="Submit for review"))
    return number


def approves(keys: Keyboard, wanted: Wanted) -> None:
    """From the overview to the review; read the loss, mark each group with warnings, type the number, approve."""
    page, number = keys.page, len(wanted.machines)
    keys.go(page.locator("#todo").get_by_role("link", name=wanted.title).first)
    loss = page.get_by_role("heading", name=f"{number} machines will lose everything on their system disks")
    expect(loss).to_be_visible()
    for group in page.get_by_role("checkbox", name=re.compile("^Seen")).all():
        keys.tick(group)
        expect(group).to_be_checked()
    expect(page.get_by_role("button", name=re.compile("^Approve"))).not_to_have_attribute("aria-disabled", "true")
    keys.fill(page.get_by_label("Type the number of machines that lose their disk"), str(number))
    keys.go(page.get_by_role("button", name=re.compile("^Approve")))
    expect(page.get_by_role("heading", name="Approved")).to_be_visible()


def starts(keys: Keyboard, wanted: Wanted) -> None:
    """From wherever the operator is, over the list of changes, to the approved change; press Start."""
    page = keys.page
    keys.go(page.get_by_role("navigation", name="Main").get_by_role("link", name="Changes"))
    expect(page.get_by_role("heading", name="Changes", level=1)).to_be_visible()
    keys.go(page.get_by_role("link", name=wanted.title))
    expect(page.get_by_role("button", name=re.compile("^Approve"))).to_have_count(0)
    keys.go(page.get_by_role("button", name=f"Start: replace {len(wanted.machines)} system disks"))
    expect(page.locator("#gauges")).to_be_visible()


def watches(keys: Keyboard, wanted: Wanted) -> list[str]:
    """Look at the run until it is finished; return where the machines were seen, and hold that no page was loaded."""
    page, number = keys.page, len(wanted.machines)
    page.evaluate("window.sameDocument = true")
    stages = page.locator("#line-now tbody")
    seen = [stages.inner_text()]

    def finished() -> bool:
        page.wait_for_timeout(100)
        if (now := stages.inner_text()) != seen[-1]:
            seen.append(now)
        return page.locator("#outcome-h").count() == 1

    assert wait_for(what=finished, seconds=LONG / 1000, every=0.05), seen
    expect(page.locator("#outcome-h")).to_contain_text(f"All {number} machines have a new system disk")
    bar = page.locator("#gauges progress")
    assert (bar.get_attribute("value"), bar.get_attribute("max")) == (str(number), str(number))
    assert page.evaluate("window.sameDocument === true"), "the page was loaded again"
    return seen
