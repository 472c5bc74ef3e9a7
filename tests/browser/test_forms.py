"""What the browser keeps and shows while a form is checked, and when the server does not answer as hoped."""

import re
from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from fleet.changes.drafting import drafts
from fleet.lib.clock import DatabaseClock
from fleet.models import Change, Instance
from fleet.web.change import draft_views
from tests.browser.conftest import World
from tests.support import fleets
from tests.support.browser import HAS_FOCUS, Keyboard

GOOD = "Right-Horse-7"


@pytest.fixture(scope="module")
def spare(world: World) -> list[Instance]:
    return fleets.plain(10)


@pytest.fixture
def draft(spare: list[Instance]) -> Change:
    """A draft of one machine that no other test uses: an image is chosen, and no title is typed yet."""
    given = {"disk_size": None, "title": "", "reason": ""}
    return fleets.draft([spare.pop()], fleets.image_named("Ubuntu 24.04"), DatabaseClock().now(), **given)


@pytest.fixture
def page(open_window: Callable[..., Page], draft: Change) -> Page:
    """The draft's page, opened by its author."""
    opened = open_window("operator")
    opened.goto(f"/changes/{draft.pk}/edit")
    return opened


def test_value_caret_and_focus_survive_a_live_validation(page: Page) -> None:
    size = page.locator("input[name=disk_size]")
    keys = Keyboard(page)
    keys.tab_to(size)
    keys.type("5x")
    feedback = page.locator("#id_disk_size_feedback")
    expect(feedback.locator(".error")).to_contain_text("InvalidSystemDiskSize")
    expect(size).to_have_attribute("aria-invalid", "true")
    keys.press("Backspace", "5", "5", "ArrowLeft", "ArrowLeft")
    expect(feedback.locator(".error code")).to_have_text("InvalidSystemDiskSize.MoreThanMaxSize")

    keys.press("Delete")

    expect(feedback.locator(".error")).to_have_count(0)
    expect(size).not_to_have_attribute("aria-invalid", "true")
    expect(size).to_have_value("55")
    assert size.evaluate(HAS_FOCUS)
    assert size.evaluate("field => [field.selectionStart, field.selectionEnd]") == [1, 1]


def test_a_refused_submit_goes_to_the_summary_and_loses_nothing(page: Page, draft: Change) -> None:
    keys = Keyboard(page)
    keys.fill(page.locator("input[name=disk_size]"), "7")
    keys.fill(page.locator("[name=title]"), "A title to keep")
    keys.go(page.get_by_role("button", name="Submit for review"))

    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("Nothing was submitted")
    assert summary.evaluate(HAS_FOCUS)
    expect(page.locator("[name=title]")).to_have_value("A title to keep")
    expect(page.locator("input[name=disk_size]")).to_have_value("7")
    # Its links lead to the fields.
    keys.go(summary.get_by_role("link", name=re.compile("^Why")))
    keys.type("Because.")
    expect(page.locator("[name=reason]")).to_have_value("Because.")


def test_a_password_is_never_rendered_back(page: Page, draft: Change) -> None:
    keys, field = Keyboard(page), page.locator("[type=password][name=password]")
    login = page.get_by_role("group", name="How to sign in afterwards")
    keys.choose(login, login.locator("[value=password]"))
    keys.fill(field, GOOD)
    keys.go(page.get_by_role("button", name="Submit for review"))

    # Refused for the lack of all the rest; the password is sealed and is not asked for again.
    expect(page.get_by_role("alert")).to_contain_text("Nothing was submitted")
    expect(page.get_by_text("A password is sealed, fingerprint")).to_be_visible()
    expect(field).to_have_value("")
    assert GOOD not in page.content()
    assert field.get_attribute("value") is None


def test_a_password_that_does_not_fit_is_not_rendered_back_either(page: Page) -> None:
    keys, field = Keyboard(page), page.locator("[type=password][name=password]")
    keys.fill(field, "weak-and-low")
    expect(page.locator("#id_password_feedback .error code")).to_have_text("InvalidPassword.Malformed")
    expect(field).to_have_value("weak-and-low")  # the live answer leaves alone what is being typed
    keys.go(page.get_by_role("button", name="Save draft").last)

    expect(page.get_by_role("alert")).to_be_visible()
    expect(field).to_have_value("")
    assert "weak-and-low" not in page.content()


def test_a_session_that_ended_during_a_poll_leads_to_the_sign_in_and_back(page: Page, draft: Change) -> None:
    operator = fleets.person("operator")
    settings = fleets.settings(fleets.image_named("Ubuntu 24.04"))
    now = DatabaseClock().now()
    drafts.edit_draft(actor=operator, change_id=draft.pk, settings=settings, now=now)
    drafts.submit(actor=operator, change_id=draft.pk, now=now)
    checking = re.compile("is read afresh from the cloud")
    page.goto(f"/changes/{draft.pk}")  # no worker runs: it is asked for every second
    expect(page.get_by_role("heading", name=checking)).to_be_visible()
    (cookie,) = [each for each in page.context.cookies() if each["name"] == "sessionid"]
    Session.objects.filter(session_key=cookie["value"]).delete()
    expect(page).to_have_url(re.compile(rf"/sign-in\?next=/changes/{draft.pk}$"))

    keys = Keyboard(page)
    keys.fill(page.get_by_label("Name"), "operator")
    keys.fill(page.get_by_label("Password"), fleets.PASSWORD)
    keys.press("Enter")
    expect(page.get_by_role("heading", name=checking)).to_be_visible()


def test_a_server_that_fails_is_told_by_a_toast_once_and_nothing_typed_is_lost(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The site runs in a thread of this process: its views of a draft now fail.
    monkeypatch.setattr(draft_views, "make_form", None)
    keys, title = Keyboard(page), page.locator("[name=title]")
    keys.fill(title, "Typed while it fails")

    toast = page.locator("#toasts .toast")
    expect(toast).to_have_count(1)
    expect(toast.get_by_role("paragraph")).to_contain_text(
        re.compile(r"The server failed to answer.*Reference [0-9a-f]{8}\.$")
    )
    first = toast.inner_text()
    keys.type(", and goes on")
    expect(toast).not_to_have_text(first)  # the reference of the latest failure
    expect(toast).to_have_count(1)
    expect(title).to_have_value("Typed while it fails, and goes on")
    assert title.evaluate(HAS_FOCUS)


def test_a_server_that_is_away_is_told_by_a_toast_and_is_asked_again(page: Page) -> None:
    keys, size = Keyboard(page), page.locator("input[name=disk_size]")
    page.context.set_offline(True)
    keys.fill(size, "9999")
    toast = page.locator("#toasts .toast")
    expect(toast).to_have_count(1)
    expect(toast).to_contain_text("cannot be reached")
    expect(size).to_have_value("9999")

    page.context.set_offline(False)
    keys.type("9")
    expect(page.locator("#id_disk_size_feedback .error code")).to_have_text("InvalidSystemDiskSize.MoreThanMaxSize")
