"""A real Chromium: persons in it who use nothing but the keyboard, and what judges a page."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from fleet.models import User

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 15_000  # ms for anything that a page does by itself; two busy cores are slow
MOST_TABS = 400
AXE = Axe()
WIDTHS = (1280, 360)
# No rule is switched off; only what a page passes is not described.
RULES: dict[str, object] = {"resultTypes": ["violations"]}
OF_COLOUR: dict[str, object] = RULES | {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
HAS_FOCUS = "element => element === document.activeElement"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a Chromium, yield it, and end it.

    Playwright's loop runs in this thread, where Django would refuse every query: the tests ask the database between acts
    of the browser and never during one. While a loop runs Django keeps other connections than before and after: they are
    closed here, else the next browser would go on with one to a database that is gone.
    """
    connections.close_all()
    path = os.environ.get("FLEET_CHROMIUM", "/usr/bin/chromium")
    with patch.dict(os.environ, {"DJANGO_ALLOW_ASYNC_UNSAFE": "1"}), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            connections.close_all()
            browser.close()


class Windows:
    """Windows of a browser, each with cookies of its own: another person's browser.

    A window that a test has left is emptied and used again for the next one: to make one, and to read the stylesheets anew in
    it, is most of what a short test costs.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._empty: dict[tuple[str, bool], list[Page]] = {}

    @contextmanager
    def open(self, *, at: str, script: bool = True) -> Iterator[Page]:
        """Open a window on the site at this address, with or without scripts, yield its page, and empty it."""
        empty = self._empty.setdefault((at, script), [])
        page = empty.pop() if empty else self._made(at, script)
        page.set_viewport_size({"width": 1280, "height": 800})
        yield page
        self._emptied(page)
        empty.append(page)

    def _made(self, at: str, script: bool) -> Page:
        context = self._browser.new_context(base_url=at, java_script_enabled=script)
        context.set_default_timeout(PATIENCE)
        return context.new_page()

    def _emptied(self, page: Page) -> None:
        for each in page.context.pages:
            if each != page:
                each.close()
        page.unroute_all(behavior="ignoreErrors")
        page.context.unroute_all(behavior="ignoreErrors")
        page.context.set_offline(False)
        page.emulate_media(color_scheme="light")
        page.goto("about:blank")
        page.mouse.move(0, 0)
        page.context.clear_cookies()

    def close(self) -> None:
        """Close every window, also those that are kept for the next: the site that they showed goes away."""
        for context in self._browser.contexts:
            context.close()
        self._empty.clear()


def sign_in(context: BrowserContext, user: User, *, at: str) -> str:
    """Give the window a session of `user` without the sign-in page; return the session's key."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": at}])
    return str(session.session_key)


class Keyboard:
    """One person at one page with a keyboard and no mouse."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """Type a text."""
        self.page.keyboard.type(text)

    def tab_to(self, wanted: Locator, *, back: bool = False) -> None:
        """Press Tab (or Shift+Tab) until the one wanted element has the focus; what cannot be reached fails."""
        expect(wanted).to_have_count(1, timeout=PATIENCE)
        key = "Shift+Tab" if back else "Tab"
        for _ in range(MOST_TABS):
            if wanted.evaluate(HAS_FOCUS):
                return
            self.page.keyboard.press(key)
        raise AssertionError(f"{MOST_TABS} times {key} do not lead to {wanted} on {self.page.title()!r}")

    def go(self, wanted: Locator) -> None:
        """Go to a link, button or summary by Tab, and press Enter on it."""
        self.tab_to(wanted)
        self.press("Enter")

    def tick(self, wanted: Locator) -> None:
        """Go to a check box by Tab, and change it by the space bar."""
        self.tab_to(wanted)
        self.press("Space")

    def fill(self, wanted: Locator, text: str) -> None:
        """Go to a field by Tab, and type over what stands in it."""
        self.tab_to(wanted)
        self.press("Control+a")
        self.type(text)

    def select(self, wanted: Locator, label: str) -> None:
        """Go to a select by Tab, and type what the option says."""
        self.tab_to(wanted)
        self.type(label)
        chosen = wanted.evaluate("select => select.selectedOptions[0].label.trim()")
        assert chosen == label, f"typing {label!r} chose {chosen!r}"

    def choose(self, group: Locator, wanted: Locator) -> None:
        """Go to a group of radio buttons by Tab, and to the one wanted by the arrow keys."""
        radios = group.get_by_role("radio")
        names = radios.evaluate_all("all => all.filter(each => !each.disabled).map(each => each.id)")
        enabled = [self.page.locator(f"[id='{name}']") for name in names]
        # Tab stops at the one that is checked, else at the first.
        self.tab_to(next((each for each in enabled if each.is_checked()), enabled[0]))
        if wanted.evaluate(HAS_FOCUS):
            self.press("Space")
        for _ in names:
            if wanted.is_checked():
                return
            self.press("ArrowDown")
        assert wanted.is_checked(), f"the arrow keys do not lead to {wanted}"


def faults_of(page: Page, widths: tuple[int, ...] = WIDTHS) -> list[str]:
    """Return what axe finds on the page at these widths, in the light theme and in the dark: one line an element.

    The themes differ in their colours alone (tests/test_architecture.py): in the dark one only the rules of colour are asked.
    """
    found: list[str] = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="light")
        found += [f"{width} px: {fault}" for fault in _faults(page, RULES)]
        page.emulate_media(color_scheme="dark")
        found += [f"{width} px, dark: {fault}" for fault in _faults(page, OF_COLOUR)]
    page.set_viewport_size({"width": widths[0], "height": 900})
    page.emulate_media(color_scheme="light")
    return found


def _faults(page: Page, rules: dict[str, object]) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)
    found = page.evaluate("options => axe.run(options)", rules)["violations"]
    lines = [
        f"{each['id']} ({each['impact']}): {node['html'][:200]} | {node.get('failureSummary', '')}"
        for each in found
        for node in each["nodes"]
    ]
    wide, window_wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    if wide > window_wide:
        lines.append(f"the page is {wide} px wide in a window of {window_wide} px: {overflowing(page)}")
    return lines


def overflowing(page: Page) -> list[str]:
    """Return the elements that reach beyond the window and are not inside of something that scrolls by itself."""
    found: list[str] = page.evaluate(
        """() => Array.from(document.querySelectorAll("body *"))
            .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .filter(each => !each.closest(".scroll, .vh"))
            .slice(0, 5).map(each => each.outerHTML.slice(0, 120))"""
    )
    return found
