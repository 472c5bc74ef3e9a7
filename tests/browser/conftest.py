"""One mirrored fleet and one site a module, one browser, and persons with windows of their own in it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer
from pytest_django.plugin import DjangoDbBlocker

from tests.support import fleets
from tests.support.browser import Windows, chromium, sign_in
from tests.support.databases import committed_database
from tests.support.emulator import Emulator
from tests.support.leftovers import processes_of, wait_until_gone

MACHINES = 90


@dataclass(frozen=True, kw_only=True)
class World:
    """What a module's tests share: the emulator, the site's address, and a folder in the place of `var/`."""

    emulator: Emulator
    url: str
    var: Path


@pytest.fixture(scope="package")
def windows() -> Iterator[Windows]:
    """The windows of a Chromium."""
    with chromium() as started:
        yield Windows(started)


@pytest.fixture(scope="module")
def var() -> Iterator[Path]:
    """A folder that the database's user may pass through; whatever is left running on it is killed."""
    with tempfile.TemporaryDirectory(prefix="fleet-browser-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
        wait_until_gone(folder=folder, seconds=10)
        for process in processes_of(folder=folder):
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture(scope="module")
def world(
    windows: Windows, django_db_setup: None, django_db_blocker: DjangoDbBlocker, emulator_server: Emulator, var: Path
) -> Iterator[World]:
    """A database that keeps commits with the mirrored demo fleet and its people, and the site on it."""
    with django_db_blocker.unblock(), committed_database():
        emulator_server.reset(instances=MACHINES)
        fleets.mirror(emulator_server)
        server = LiveServer("localhost")
        try:
            yield World(emulator=emulator_server, url=server.url, var=var)
        finally:
            windows.close()
            server.stop()


@pytest.fixture
def open_window(windows: Windows, world: World) -> Iterator[Callable[..., Page]]:
    """Open a window: `open_window()` of nobody, `open_window("operator")` of one who is signed in."""
    with ExitStack() as opened:

        def open_one(name: str = "", **options: Any) -> Page:
            page = opened.enter_context(windows.open(at=world.url, **options))
            if name:
                sign_in(page.context, fleets.person(name), at=world.url)
            return page

        yield open_one


@pytest.hookimpl(tryfirst=True)  # before tests/conftest.py looks for the mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the browser's tests out where there is no browser: `manage.py test` says so and fails."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            if not Path(os.environ.get("FLEET_CHROMIUM", "/usr/bin/chromium")).exists():
                item.add_marker(pytest.mark.skip(reason="there is no Chromium"))
