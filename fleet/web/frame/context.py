"""What every page shows around its content: the navigation, what waits, how old the mirror is, the emulator's accounts.

All of it is lazy: a page that shows none of it makes no query.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import Count, Exists, Subquery, Value
from django.db.models.functions import Coalesce, Now
from django.http import HttpRequest

from fleet.guards.kill_switch import presses, scope_words
from fleet.lib.clock import DatabaseClock
from fleet.lib.net import is_loopback
from fleet.lib.text import age, listed
from fleet.models import Account, KillSwitch, User
from fleet.web.shared.scope import grants_of
from fleet.web.shared.waiting import waiting

THEMES = ("light", "dark")
LATE = 300  # seconds; a small region is read every minute
LONGEST = 1800  # seconds between two syncs of the largest region
SETTINGS = (
    "settings",
    "settings-calendars",
    "settings-quorum",
    "settings-kill",
    "settings-notices",
    "accounts",
    "account",
    "people",
    "person",
)
NAVIGATION = (
    ("Overview", "overview", ("overview",)),
    ("Inbox", "inbox", ("inbox",)),
    ("Instances", "instances", ("instances", "instance", "paste", "locks")),
    ("Images", "images", ("images",)),
    ("Changes", "changes", ("changes", "change", "draft", "draft-new", "change-upload", "undo")),
    ("Audit", "audit", ("audit",)),
    ("Settings", "settings", SETTINGS),
)


@dataclass(frozen=True)
class Freshness:
    """How old the mirror is in the region that was read longest ago: `words` for people, `status` for the colour.

    `where` names that region if it was read too long ago, `short` is the age alone; `now` is the database's time.
    """

    now: datetime
    status: str
    words: str
    where: str
    short: str = ""


def is_late(now: datetime, synced: datetime | None, machines: int) -> bool:
    """Say whether a region was read too long ago; one with many machines is read less often."""
    if synced is None:
        return True
    return (now - synced).total_seconds() > LATE + min(machines * 60 / 1000, LONGEST)


@dataclass(frozen=True)
class Emulated:
    """Which accounts are the emulator's, by name; `all` says that there is no other, so that no real machine is at stake."""

    accounts: list[str]
    all: bool

    @property
    def names(self) -> str:
        return listed(self.accounts)


@dataclass(frozen=True)
class Frame:
    """What stands around a page: the mirror's age, the emulator's accounts, whether the kill switch is on, how much waits."""

    fresh: Freshness
    emulated: Emulated
    stopped: bool
    waiting: int


def frame_of(user: User | None) -> Frame:
    """Read what stands around every page (one query, beside the person's grants)."""
    waits = (
        waiting(user).order_by().annotate(one=Value(1)).values("one").annotate(n=Count("pk")).values("n")
        if user
        else None
    )
    rows = list(
        Account.objects.order_by("mirrors__synced_at").values_list(
            "name",
            "endpoint",
            "mirrors__region",
            "mirrors__synced_at",
            "mirrors__instances",
            Now(),
            Exists(KillSwitch.objects.filter(lifted_at=None)),
            Coalesce(Subquery(waits), 0) if waits is not None else Value(0),
        )
    )
    if not rows:
        # Without an account there is no machine, and so nothing to stop and nothing that waits.
        fresh = Freshness(DatabaseClock().now(), "off", "No account yet", "", "none")
        return Frame(fresh, Emulated([], all=False), False, 0)
    now, stopped, number = rows[0][5:]
    endpoints = {name: endpoint for name, endpoint, *_ in rows}
    return Frame(_freshness([row[2:5] for row in rows], now), emulated(endpoints), stopped, number)


def emulated(endpoints: dict[str, str]) -> Emulated:
    """Tell which accounts are the emulator's, from the endpoint of each name: the emulator's is on this machine."""
    accounts = sorted(name for name, endpoint in endpoints.items() if is_loopback(endpoint))
    return Emulated(accounts, all=len(accounts) == len(endpoints))


def _freshness(rows: list[tuple[str | None, datetime | None, int]], now: datetime) -> Freshness:
    """Judge all mirrors by their oldest region; a row has the region, when it was read, and how many machines it has."""
    unread = [region for region, synced, _ in rows if region and synced is None]
    read = [(synced, region) for region, synced, _ in rows if synced is not None]
    if not read:
        return Freshness(now, "warn", "Mirror not read yet", "", "not read")
    oldest, region = read[0]
    if unread:
        return Freshness(now, "warn", "Mirror not read yet", unread[0], "not read")
    late = any(is_late(now, synced, machines) for _, synced, machines in rows if synced == oldest)
    words = age((now - oldest).total_seconds())
    return Freshness(now, "warn" if late else "ok", f"Mirror {words} old", (region or "") if late else "", words)


def role_words(user: User) -> str:
    """Return the person's roles as the menu shows them: `operator, approver in prod`."""
    words = {
        f"{grant.role} in {grant.environment}" if grant.environment else str(grant.role) for grant in grants_of(user)
    }
    return ", ".join(sorted(words))


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what base.html needs, in one query beside the person's grants, and only where a template shows it."""
    user = getattr(request, "user", None)
    theme = request.COOKIES.get("theme", "")
    person = user if isinstance(user, User) else None
    match = request.resolver_match
    # The poll of the mirror's age shows no count.
    counts = bool(match and match.url_name != "fresh")
    frame = cache(lambda: frame_of(person if counts else None))
    return {
        "theme": theme if theme in THEMES else "",
        "nav": [(label, name, bool(match and match.url_name in names)) for label, name, names in NAVIGATION],
        # Functions, which templates call where they show the value; a lazy object would not work with every filter.
        "waiting": lambda: frame().waiting,
        "roles": cache(lambda: role_words(person) if person else ""),
        "freshness": lambda: frame().fresh,
        "emulated": lambda: frame().emulated,
        # The presses of the kill switch in force, each with its scope in words; read only where there is one.
        "stopped": cache(lambda: [(press, scope_words(press)) for press in presses()] if frame().stopped else []),
        "now": lambda: frame().fresh.now,
    }
