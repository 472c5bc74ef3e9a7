"""Choosing machines in a real browser: by the keyboard alone, without JavaScript, and judged by axe in both themes."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from fleet.models import Change, Instance, Selection
from tests.browser.conftest import World
from tests.support import fleets
from tests.support.browser import Keyboard, Windows, faults_of, sign_in


def names() -> list[str]:
    """Return the names of the first two pages of the list."""
    return list(Instance.objects.present().order_by("name", "pk").values_list("name", flat=True)[:50])


def selected(page: Page) -> set[str]:
    """Return the machines that the server keeps for the tab."""
    found = Selection.objects.get(pk=page.locator("input[name=selection]").first.get_attribute("value") or "")
    return set(Instance.objects.filter(pk__in=found.instances).values_list("name", flat=True))


def drafted(page: Page) -> set[str]:
    expect(page).to_have_url(re.compile(r"/changes/\d+/edit"))
    change = Change.objects.latest("pk")
    return set(change.targets.values_list("instance__name", flat=True))


def test_by_the_keyboard_alone_over_pages_a_filter_and_a_reload(world: World, open_window: Callable[..., Page]) -> None:
    page, known = open_window("operator"), names()
    keys, picked = Keyboard(page), page.locator("#picked")
    page.goto("/instances")
    keys.tick(page.get_by_role("checkbox", name=f"Select {known[2]}", exact=True))
    expect(page).to_have_url(re.compile("selection="))
    assert selected(page) == {known[2]}
    keys.go(page.get_by_role("button", name="Next"))
    expect(picked).to_have_text("1 machine selected, 0 here and 1 on other pages")
    keys.tick(page.get_by_role("checkbox", name=f"Select {known[30]}", exact=True))
    expect(picked).to_have_text("2 machines selected, 1 here and 1 on other pages")
    keys.fill(page.get_by_label("Name, id, address or tag"), known[40])
    expect(page.locator("#matching")).to_have_text("1 machine matches")
    expect(page.get_by_label("Name, id, address or tag")).to_be_focused()
    with page.expect_response(lambda answer: answer.request.method == "POST" and "/instances" in answer.url):
        # The figure is counted at once, and a reload takes back what is still on its way.
        keys.tick(page.get_by_role("checkbox", name=f"Select {known[40]}", exact=True))
        expect(picked).to_have_text("3 machines selected, 1 here and 2 on other pages")
    page.reload()
    expect(picked).to_have_text("3 machines selected, 1 here and 2 on other pages")
    assert selected(page) == {known[2], known[30], known[40]}
    keys.go(page.get_by_role("button", name="Change OS of 3"))
    assert drafted(page) == {known[2], known[30], known[40]}


def test_quick_ticks_over_a_slow_line_are_all_saved(world: World, open_window: Callable[..., Page]) -> None:
    page, known = open_window("operator"), names()
    page.goto("/instances")
    sent: list[Route] = []

    def slow(route: Route) -> None:
        """Hold the first tick back; let the others go their way."""
        sent.append(route)
        if len(sent) > 1:
            route.continue_()

    page.route(lambda url: url.endswith("/instances"), slow)
    boxes = [page.get_by_role("checkbox", name=f"Select {name}", exact=True) for name in known[:4]]
    for box in boxes:
        box.check()
    page.get_by_role("checkbox", name=f"Select {known[1]}", exact=True).uncheck()
    # One is under way, and the last word waits behind it: what came between is in the last word.
    expect(page.locator("#picked")).to_contain_text("3 machines selected")
    assert len(sent) == 1
    with page.expect_event("requestfinished", lambda request: len(sent) > 1 and request == sent[1].request):
        sent[0].continue_()
    assert selected(page) == {known[0], known[2], known[3]}


def test_all_on_the_page_and_all_matching(world: World, open_window: Callable[..., Page]) -> None:
    page, known = open_window("operator"), names()
    keys = Keyboard(page)
    page.goto("/instances")
    keys.tick(page.get_by_role("checkbox", name="Select the machines on this page"))
    expect(page).to_have_url(re.compile("selection="))
    assert selected(page) == set(known[:25])
    total = Instance.objects.present().count()
    keys.go(page.get_by_role("button", name=f"Select all {total} matching"))
    expect(page.locator("#picked")).to_have_text(f"{total} machines selected, 25 here and {total - 25} on other pages")
    keys.tick(page.get_by_role("checkbox", name=f"Select {known[0]}", exact=True))
    expect(page.get_by_role("button", name=f"Change OS of {total - 1}")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    assert len(selected(page)) == total - 1


def test_two_tabs_are_two_selections(world: World, open_window: Callable[..., Page]) -> None:
    one, known = open_window("operator"), names()
    other = one.context.new_page()
    for page, name in ((one, known[0]), (other, known[1])):
        page.goto("/instances")
        page.get_by_role("checkbox", name=f"Select {name}", exact=True).check()
        expect(page).to_have_url(re.compile("selection="))
    one.reload()
    expect(one.locator("#picked")).to_have_text("1 machine selected")
    assert (selected(one), selected(other)) == ({known[0]}, {known[1]})


def test_without_javascript_from_the_list_to_a_draft(world: World, open_window: Callable[..., Page]) -> None:
    page, known = open_window("operator", script=False), names()
    page.goto("/instances")
    page.get_by_role("checkbox", name=f"Select {known[0]}", exact=True).check()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("1 machine selected before what you tick now")).to_be_visible()
    page.get_by_role("checkbox", name=f"Select {known[30]}", exact=True).check()
    page.get_by_text("More filters").click()
    page.get_by_label("Add a tag, as key or key=value").fill("env=prod")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_label("env=prod", exact=True)).to_be_checked()
    expect(page.get_by_text("2 machines selected before what you tick now")).to_be_visible()
    page.get_by_role("button", name="Change OS of the ticked machines").click()
    assert drafted(page) == {known[0], known[30]}


@pytest.mark.parametrize("script", [True, False], ids=["htmx", "plain"])
def test_a_pasted_list_by_the_keyboard(world: World, open_window: Callable[..., Page], script: bool) -> None:
    page, known = open_window("operator", script=script), names()
    page.goto("/instances")
    page.get_by_role("link", name="Paste a list").click()
    keys = Keyboard(page)
    page.get_by_label("List", exact=True).fill(f"{known[5]}\nno-such, {known[6]}")
    if script:
        keys.go(page.get_by_role("button", name="Look them up"))
    else:
        page.get_by_role("button", name="Look them up").click()
    expect(page.get_by_role("heading", name="What the list means")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("no-such Nothing fits"))).to_be_visible()
    page.get_by_role("button", name="Take 2 machines into the selection").click()
    expect(page.get_by_role("heading", name="Instances")).to_be_visible()
    assert selected(page) == {known[5], known[6]}


def test_a_lock_by_the_keyboard(world: World, open_window: Callable[..., Page]) -> None:
    page, machine = open_window("operator"), fleets.plain(16)[-1]
    keys = Keyboard(page)
    page.goto(f"/instances/{machine.pk}")
    keys.go(page.get_by_role("button", name="Lock this machine"))
    expect(page.get_by_text("No reason is given.")).to_be_visible()
    keys.fill(page.get_by_label("Why nobody may touch it"), "Quarter end")
    keys.go(page.get_by_role("button", name="Lock this machine"))
    expect(page.get_by_text("operator has locked this machine")).to_be_visible()
    keys.go(page.get_by_role("button", name="Release the lock"))
    expect(page.get_by_text("not locked", exact=True)).to_be_visible()


def _list(page: Page) -> None:
    page.goto("/instances?tag=env%3Dprod&support=past")
    page.locator("tbody input[type=checkbox]").first.check()
    expect(page).to_have_url(re.compile("selection="))
    page.locator(".views-keep > summary").click()


def _paste(page: Page) -> None:
    page.goto("/instances/paste")
    page.get_by_label("List", exact=True).fill(f"{names()[0]} no-such {names()[0]}")
    page.get_by_role("button", name="Look them up").click()
    page.locator("#verdicts-h").wait_for()


def _locks(page: Page) -> None:
    _list(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Lock or release").click()
    page.get_by_role("button", name=re.compile("^Lock 1 machine")).click()
    page.get_by_role("alert").wait_for()


def _machine(page: Page) -> None:
    page.goto(f"/instances/{fleets.plain(1)[0].pk}")


def _upload(page: Page) -> None:
    page.goto("/changes/upload")
    page.get_by_role("button", name="Make a draft of it").click()
    page.get_by_role("alert").wait_for()


@pytest.mark.parametrize("opened", [_list, _paste, _locks, _machine, _upload], ids=lambda each: each.__name__[1:])
def test_axe_finds_nothing(world: World, open_window: Callable[..., Page], opened: Callable[[Page], None]) -> None:
    page = open_window("operator")
    opened(page)
    found = faults_of(page)
    assert not found, "\n".join(found)


def test_who_was_in_a_window_before_is_not_in_the_next(world: World, windows: Windows) -> None:
    seen = []
    for _ in range(2):
        with windows.open(at=world.url) as page:
            seen.append(page)
            assert page.evaluate("[innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]") == [1280, False]
            page.goto("/")
            expect(page.get_by_role("button", name="Sign in")).to_be_visible()
            sign_in(page.context, fleets.person("operator"), at=world.url)
            page.goto("/")
            expect(page.get_by_role("navigation", name="Main")).to_be_visible()
            page.set_viewport_size({"width": 360, "height": 900})
            page.emulate_media(color_scheme="dark")
            page.route("**/*", lambda route: route.abort())
            page.context.set_offline(True)
    assert seen[0] is seen[1]
