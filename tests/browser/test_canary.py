"""A password that was typed in a browser is afterwards found nowhere: it is sealed, and at the end not even that."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Error, Page, Response, expect

from fleet.lib.secret import unseal
from fleet.models import Change, ChangeState, SealedSecret
from tests.browser import journeys
from tests.browser.conftest import World
from tests.browser.journeys import Wanted
from tests.support import fleets

CANARY = "Canary+Bird/4711~tweet"
FORMS = {CANARY, quote(CANARY), quote(CANARY, safe=""), quote_plus(CANARY), json.dumps(CANARY)[1:-1]}

HEARD = "the log of the site is read"


@pytest.fixture
def site_log() -> Iterator[list[str]]:
    """Everything that the site's process logs, of every logger and level, as its handlers would write it."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, root = Keep(), logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("django", "django.request", "fleet"))]
    before = [each.level for each in loggers]
    root.addHandler(handler)
    for each in loggers:
        each.setLevel(logging.DEBUG)
    logging.getLogger("fleet.web").debug(HEARD)
    yield lines
    root.removeHandler(handler)
    for each, level in zip(loggers, before, strict=True):
        each.setLevel(level)


def test_a_typed_password_is_found_nowhere(
    world: World, open_window: Callable[..., Page], site_log: list[str], session_folder: Path
) -> None:
    world.emulator.durations(stop=0, replace=0, start=0)
    wanted = Wanted(
        machines=journeys.first_running(2),
        image=fleets.image_named("Ubuntu 24.04"),
        size=60,
        password=CANARY,
        title="With a password",
        reason="To look for it everywhere afterwards.",
    )
    seen: list[Response] = []
    texts: list[str] = []
    with journeys.working(world):
        page = open_window()
        page.context.on("response", lambda response: seen.append(response))
        operator = journeys.signs_in(page, "operator")
        journeys.picks(operator, wanted.machines)
        change = Change.objects.get(pk=journeys.drafts(operator, wanted))
        expect(page.get_by_role("heading", name="Waits for a review")).to_be_visible(timeout=journeys.LONG)
        (kept,) = SealedSecret.objects.filter(kind=SealedSecret.Kind.PASSWORD)
        assert unseal(kept.sealed, row_id=str(kept.pk)).reveal() == CANARY, "the canary was never there"
        assert database_with(CANARY) == []
        other = open_window()
        other.context.on("response", lambda response: seen.append(response))
        reviewer = journeys.signs_in(other, "reviewer")
        journeys.approves(reviewer, wanted)
        journeys.starts(operator, wanted)
        journeys.watches(operator, wanted)
        operator.go(page.get_by_role("link", name="History"))
        expect(page.get_by_role("heading", name="Audit trail")).to_be_visible()
        texts += [page.content(), other.content(), *(body for body in map(text_of, seen) if body)]
        texts += [response.request.url for response in seen]

    logins = world.emulator.ledger()["logins"]
    assert all(logins[machine.instance_id]["password_set"] for machine in wanted.machines), "it never arrived"
    kept.refresh_from_db()
    assert (kept.sealed, bool(kept.destroyed_at)) == ("", True)
    change.refresh_from_db()
    assert change.state == ChangeState.FINISHED
    assert database_with(CANARY) == []
    assert len(texts) > 20
    assert holding(texts) == []
    assert HEARD in site_log
    assert holding(site_log) == []
    journal = world.emulator.journal()
    assert any("Password" in json.dumps(entry) for entry in journal)
    assert holding([json.dumps(journal), json.dumps(world.emulator.ledger())]) == []
    logs = {
        path: path.read_text(errors="replace") for folder in folders(world, session_folder) for path in files(folder)
    }
    assert any(path.name == "worker.log" for path in logs)
    assert [path for path, text in logs.items() if holding([text])] == []


def holding(texts: list[str]) -> list[str]:
    """Return the beginnings of the texts that hold the canary, plain or as it is written in a form, an URL or JSON."""
    return [text[:300] for text in texts if any(form in text for form in FORMS)]


def text_of(response: Response) -> str:
    """Return the body of a page or fragment that was answered; a redirect has none."""
    if response.status in (204, 302, 307) or "text/" not in response.headers.get("content-type", ""):
        return ""
    try:
        return response.text()
    except Error:  # the browser drops a body when it has left the page meanwhile; what it showed was read before
        return ""


def database_with(text: str) -> list[str]:
    """Return the tables of which any row, written as text, holds `text`, the catalog's included."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE has_table_privilege("
            "quote_ident(schemaname) || '.' || quote_ident(tablename), 'select')"
        )
        for schema, table in cursor.fetchall():
            name = f'"{schema}"."{table}"'
            cursor.execute(f"SELECT count(*) FROM {name} AS t WHERE position(%s in t::text) > 0", [text])
            if cursor.fetchone()[0]:
                found.append(name)
    return found


def folders(world: World, session_folder: Path) -> list[Path]:
    """Return where this run's processes write: the worker's folder, the session's, and that of `manage.py test`."""
    return [world.var, session_folder, *([Path(os.environ["FLEET_VAR"])] if "FLEET_VAR" in os.environ else [])]


def files(folder: Path) -> list[Path]:
    """Return the logs and state files in a folder, not those of the database, which was read by itself."""
    return [path for path in folder.iterdir() if path.is_file()]


def test_the_search_finds_what_is_there(world: World) -> None:
    assert settings.DATABASES["default"]["NAME"].startswith("test_fleet_")
    assert database_with("ops-2026"), "the search through every table finds nothing at all"
