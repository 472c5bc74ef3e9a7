"""What every page shows: where one is, what waits, how old the mirror is. All lazy: a page that shows none asks for none."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models.functions import Now
from django.http import HttpRequest

from fleet.lib.clock import DatabaseClock
from fleet.lib.text import age
from fleet.models import Account, User
from fleet.web.scope import grants_of
from fleet.web.waiting import waiting_count

THEMES = ("light", "dark")
LATE = 300  # seconds; a small region is read every minute
LONGEST = 1800  # seconds between two syncs of the largest region
LOOPBACK = ("localhost", "127.", "[::1]")
NAVIGATION = (
    ("Overview", "overview", ("overview",)),
    ("Instances", "instances", ("instances", "instance")),
    ("Images", "images", ("images",)),
    ("Changes", "changes", ("changes", "change", "draft", "draft-new")),
    ("Audit", "audit", ("audit",)),
)


@dataclass(frozen=True)
class Freshness:
    """How old the mirror is where it is oldest: `words` for people, `status` for colour; `now` is the database's time."""

    now: datetime
    status: str
    words: str
    where: str
    emulator: bool
    short: str = ""


def is_late(now: datetime, synced: datetime | None, machines: int) -> bool:
    """Say whether a region was not read for too long; one with many machines is read less often."""
    if synced is None:
        return True
    return (now - synced).total_seconds() > LATE + min(machines * 60 / 1000, LONGEST)


def freshness() -> Freshness:
    """Judge all mirrors by their oldest region (one query)."""
    rows = list(
        Account.objects.order_by("mirrors__synced_at").values_list(
            "endpoint", "mirrors__region", "mirrors__synced_at", "mirrors__instances", Now()
        )
    )
    if not rows:
        return Freshness(DatabaseClock().now(), "off", "No account yet", "", False, "none")
    now = rows[0][-1]
    emulator = any(endpoint.startswith(LOOPBACK) for endpoint, *_ in rows)
    unread = [region for _, region, synced, *_ in rows if region and synced is None]
    read = [(synced, region) for _, region, synced, *_ in rows if synced is not None]
    if not read:
        return Freshness(now, "warn", "Mirror not read yet", "", emulator, "not read")
    oldest, region = read[0]
    seconds = (now - oldest).total_seconds()
    if unread:
        return Freshness(now, "warn", "Mirror not read yet", unread[0], emulator, "not read")
    late = any(is_late(now, synced, machines) for _, _, synced, machines, _ in rows if synced == oldest)
    words = age(seconds)
    return Freshness(now, "warn" if late else "ok", f"Mirror {words} old", region if late else "", emulator, words)


def role_words(user: User) -> str:
    """Return the person's roles as the menu says them: `operator, approver in prod`."""
    words = {
        f"{grant.role} in {grant.environment}" if grant.environment else str(grant.role) for grant in grants_of(user)
    }
    return ", ".join(sorted(words))


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what base.html needs: at most two queries beside the person's grants, and those only when shown."""
    user = getattr(request, "user", None)
    theme = request.COOKIES.get("theme", "")
    fresh = cache(freshness)
    person = user if isinstance(user, User) else None
    match = request.resolver_match
    return {
        "theme": theme if theme in THEMES else "",
        "nav": [(label, name, bool(match and match.url_name in names)) for label, name, names in NAVIGATION],
        # Templates call these where they show them, and get the thing itself (a lazy object would not format).
        "waiting": cache(lambda: waiting_count(person) if person else 0),
        "roles": cache(lambda: role_words(person) if person else ""),
        "freshness": fresh,
        "now": lambda: fresh().now,
    }
