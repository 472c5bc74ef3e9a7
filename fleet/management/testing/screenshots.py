"""The pictures of the README: a review and a run of the demo fleet, as a real browser shows them after a real start."""

import json
import re
import secrets
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from fleet.management.processes.child import CannotStart, clean_environment, free_port, spawn, tail, wait_for
from fleet.management.processes.guardian import Guardian

WINDOW = {"width": 1280, "height": 800}
FLAGS = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]
MACHINES = 300
STARTED = "Fleet OS is at"
START_WITHIN = 180.0  # seconds, with the first sync
PATIENCE = 120_000  # ms for anything that site or worker do
QUALITY = 70  # of JPEG: words stay sharp, in two thirds of the bytes that a PNG takes

# Running web servers in production of one region: several systems, some of them past their end of life.
TIER = "/instances?q=web-prod&region=cn-hangzhou&status=Running"
IMAGE = "golden-web-2026-09"
TITLE = "Web tier to the September image"
REASON = "Ubuntu 20.04 and CentOS 7 get no updates any more. The web tier keeps nothing on its system disks."
IN_FLIGHT, FAILURES_ALLOWED = 12, 5
# The calls that the provider refuses, so that the run has something to say. The first two are the canary's.
REFUSED = ((9, "INST_HAS_UNPAID_ORDER"), (14, "INST_HAS_UNPAID_ORDER"), (22, "InstanceLockedForSecurity"))
SHOWN_AT = 0.5  # the share of machines that are done when the run is shown, with some past the line of no return


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A running `up`: where its site and its emulator are, and the password of its four people."""

    url: str
    emulator: str
    password: str

    def refuse(self, *, call: int, code: str) -> None:
        """Let the emulator refuse the ReplaceSystemDisk of that number."""
        fault = {"kind": "error", "code": code, "action": "ReplaceSystemDisk", "nth": call}
        request = urllib.request.Request(f"{self.emulator}/__emulator__/faults", data=json.dumps(fault).encode())
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).close()


def take(*, root: Path, folder: Path, chromium: str) -> list[Path]:
    """Write `review.jpg` and `run.jpg` into `folder` and return them; raise CannotStart where `up` does not start."""
    review, run = folder / "review.jpg", folder / "run.jpg"
    expect.set_options(timeout=PATIENCE)
    with demo(root=root) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            operator, reviewer = _signed_in(browser, site, "operator"), _signed_in(browser, site, "reviewer")
            change = _submitted(operator)
            _reviewed(reviewer, change, review)
            for call, code in REFUSED:
                site.refuse(call=call, code=code)
            _started(operator, change, run)
        finally:
            browser.close()
    return [review, run]


@contextmanager
def demo(*, root: Path) -> Iterator[Demo]:
    """Run `up` on free ports with a fleet of its own, and leave nothing behind."""
    site, emulator, password = free_port(), free_port(), secrets.token_urlsafe(12)
    guardian = Guardian()
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-screenshots-") as name:
            folder = Path(name)
            # The database may run under another user, who must be able to pass through.
            folder.chmod(0o711)
            log = folder / "up.log"
            process = spawn(
                name="up",
                command=[
                    *(sys.executable, root / "manage.py", "up", "--port", str(site)),
                    *("--emulator-port", str(emulator), "--instances", str(MACHINES)),
                ],
                guardian=guardian,
                log=log,
                environment=environment(FLEET_VAR=str(folder / "var"), FLEET_DEMO_PASSWORD=password),
                folder=root,
                grace=30.0,
            )
            try:
                wait_for(what=lambda: STARTED in tail(path=log) or process.exit_code is not None, seconds=START_WITHIN)
                if STARTED not in tail(path=log):
                    raise CannotStart(f"The demo did not start:\n{tail(path=log)}")
                yield Demo(url=f"http://localhost:{site}", emulator=f"http://127.0.0.1:{emulator}", password=password)
            finally:
                process.stop()
    finally:
        guardian.close()


def environment(**added: str) -> dict[str, str]:
    """Return an environment in which `up` finds no database and no settings of anybody's installation."""
    kept = clean_environment(without_proxies=True)
    ours = {name: value for name, value in kept.items() if name != "DATABASE_URL" and not name.startswith("FLEET_")}
    return ours | added


def _signed_in(browser: Browser, site: Demo, name: str) -> Page:
    """Open a window of one person, in the light theme."""
    options: dict[str, Any] = {"viewport": WINDOW, "color_scheme": "light", "reduced_motion": "reduce"}
    page = browser.new_context(base_url=site.url, **options).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(site.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return page


def _submitted(page: Page) -> str:
    """Choose the web tier and its settings, submit, and return the path of the change."""
    page.goto(TIER)
    page.locator("thead input[type=checkbox]").check()
    matching = re.search(r"[\d,]+", page.locator("#matching").inner_text())
    assert matching
    page.get_by_role("button", name=re.compile(f"all {matching[0]}", re.IGNORECASE)).click()
    page.get_by_role("button", name=f"Change OS of {matching[0]}").click()
    page.wait_for_url("**/edit")
    page.locator("#image-q").fill(IMAGE)
    image = page.locator("#images input[type=radio]")
    expect(image).to_have_count(1)
    image.check()
    page.locator("[name=snapshot]").check()
    page.locator("[name=login][value=key_pair]").check()
    page.locator("[name=key_pair]").select_option("ops-2026")
    page.evaluate("document.querySelectorAll('#draft details').forEach(each => { each.open = true })")
    page.locator("[name=max_in_flight]").fill(str(IN_FLIGHT))
    page.locator("[name=failures_allowed]").fill(str(FAILURES_ALLOWED))
    page.locator("[name=canary]").fill("2")
    page.locator("[name=hold]").select_option("none")
    page.locator("[name=growth][value=ramp]").check()
    page.locator("[name=title]").fill(TITLE)
    page.locator("[name=reason]").fill(REASON)
    page.get_by_role("button", name="Submit for review").click()
    page.wait_for_url(re.compile(r"/changes/\d+$"))
    return page.url.removeprefix(page.url.split("/changes/")[0])


def _reviewed(page: Page, change: str, picture: Path) -> None:
    """Wait for the review, show it half read, and approve."""
    page.goto(change)
    heading = page.get_by_role("heading", name="will lose everything on their system disks")
    expect(heading).to_be_visible()
    machines = heading.inner_text().split()[0]
    groups = page.get_by_role("checkbox", name=re.compile("^Seen")).all()
    for number, group in enumerate(groups):
        if number == len(groups) // 2:
            page.evaluate("document.activeElement.blur()")
            page.screenshot(path=picture, type="jpeg", quality=QUALITY)
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            group.check()
    page.get_by_label("Type the number of machines").fill(machines)
    approve = page.get_by_role("button", name=re.compile("^Approve"))
    expect(approve).not_to_have_attribute("aria-disabled", "true")
    approve.click()
    expect(page.get_by_role("heading", name="Approved")).to_be_visible()


def _started(page: Page, change: str, picture: Path) -> None:
    """Start the change, and show it when half of its machines are done."""
    page.goto(change)
    page.get_by_role("button", name=re.compile("^Start: replace")).click()
    gauge = page.locator("#gauges progress").first
    expect(gauge).to_be_visible()

    past = page.locator("#line-now td.past b").first

    def worth_showing() -> bool:
        share = float(gauge.get_attribute("value") or 0) / float(gauge.get_attribute("max") or 1)
        return share >= SHOWN_AT and past.inner_text() != "0"

    if not wait_for(what=worth_showing, seconds=10 * 60, every=0.5):
        raise CannotStart("The run did not get on. Try again on a machine that is less busy.")
    page.screenshot(path=picture, type="jpeg", quality=QUALITY)
