"""The figures of the overview, each part in one or two queries."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Max, Q

from fleet.inventory.lifecycle import end_of_life, os_label, support_state
from fleet.models import Change, ChangeState, Instance, Outcome, RegionMirror, Replacement, ReplacementState, User
from fleet.models.replacements import LIVE
from fleet.web.frame.context import is_late
from fleet.web.shared.scope import covered, visible_changes, visible_instances
from fleet.web.shared.waiting import to_decide, to_review, to_start

LATELY = timedelta(days=7)


@dataclass(frozen=True)
class Todo:
    """One thing that waits for the person: what it is, why, since when, and what its button says."""

    change: Change
    status: str
    glyph: str
    why: str
    since: datetime | None
    act: str
    page: str = "change"


def todo(user: User) -> list[Todo]:
    """Return what waits for the person: held machines, reviews, then starts, in each the oldest first (three queries)."""
    held = to_decide(user).annotate(
        n=Count("replacements", filter=Q(replacements__state=ReplacementState.HELD)),
        since=Max("replacements__entered_at", filter=Q(replacements__state=ReplacementState.HELD)),
    )
    todo = [
        Todo(c, "warn", "held", f"{_machines(c.n)} held: a person decides, with the evidence", c.since, "Decide")
        for c in held.order_by("since")[:20]
    ]
    still_open = Count("targets", filter=Q(targets__open=True))
    reviews = to_review(user).select_related("author").annotate(n=still_open).order_by("submitted_at")[:20]
    todo += [
        Todo(
            c,
            "run",
            "review",
            f"{_lose(c.n)}; by {c.author}, revision {c.revision}",
            c.submitted_at,
            "Review",
            "change-review",
        )
        for c in reviews
    ]
    starts = to_start(user).annotate(n=Count("targets")).order_by("checked_at", "id")[:20]
    return todo + [
        Todo(c, "ok", "ok", f"Approved: {_lose(c.n)} when you start it", c.submitted_at, "Look and start")
        for c in starts
    ]


def _machines(number: int) -> str:
    return f"{number:,} {'machine is' if number == 1 else 'machines are'}"


def _lose(number: int) -> str:
    return f"{number:,} {'machine loses its' if number == 1 else 'machines lose their'} system disk"


@dataclass
class Progress:
    """How far a change is: its machines counted by what became of them; `flying` are in flight."""

    change: Change
    total: int = 0
    good: int = 0
    bad: int = 0
    skipped: int = 0
    flying: int = 0
    held: int = 0

    @property
    def ended(self) -> int:
        return self.good + self.bad + self.skipped

    @property
    def waiting(self) -> int:
        return self.total - self.ended - self.flying - self.held

    @property
    def allowed(self) -> int | None:
        """Return how many failures the policy allows."""
        value = self.change.policy.get("failures_allowed")
        return value if isinstance(value, int) else None

    @property
    def bars(self) -> list[tuple[str, float, float]]:
        """Return (status, x, width) in percent, for the bar."""
        bars, at = [], 0.0
        parts = (("ok", self.good), ("bad", self.bad), ("off", self.skipped), ("warn", self.held), ("run", self.flying))
        for status, number in parts:
            width = 100 * number / self.total if self.total else 0.0
            if number:
                bars.append((status, round(at, 2), round(width, 2)))
            at += width
        return bars


def runs(user: User) -> dict[str, Any]:
    """Return the changes under way with their progress (two queries), and whether the page is to poll."""
    changes = visible_changes(user).under_way().order_by("-started_at")[:20]
    by_change = {change.pk: Progress(change) for change in changes}
    counted = Replacement.objects.filter(change__in=by_change).values_list("change", "state", "outcome")
    for pk, state, outcome, number in counted.annotate(Count("pk")).order_by():
        _add(by_change[pk], state, outcome, number)
    progress = list(by_change.values())
    return {
        "runs": progress,
        "flying": sum(run.flying for run in progress),
        "poll": any(run.change.state == ChangeState.RUNNING or run.flying for run in progress),
    }


def _add(progress: Progress, state: str, outcome: str, number: int) -> None:
    progress.total += number
    end = Outcome(outcome) if outcome else None
    if end and end.is_success:
        progress.good += number
    elif end and end.is_failure:
        progress.bad += number
    elif end:
        progress.skipped += number
    elif state in LIVE:
        progress.flying += number
    elif state == ReplacementState.HELD:
        progress.held += number


def failures(user: User, now: datetime) -> dict[str, Any]:
    """Return what failed in the last seven days, clustered by cause, most machines first (two queries)."""
    ended = Replacement.objects.filter(covered(user, prefix="instance__"), finished_at__gt=now - LATELY)
    clusters = (
        ended.failed()
        .values("outcome", "error_code")
        .annotate(
            n=Count("pk"),
            kinds=Count("note", distinct=True),
            note=Max("note"),
            last=Max("finished_at"),
            changes=ArrayAgg("change", distinct=True),
        )
        .order_by("-n")
    )
    causes: list[dict[str, Any]] = [dict(cluster) for cluster in clusters[:8]]
    for cause in causes:
        same = cause["kinds"] == 1 and cause["note"]
        cause["why"] = cause["note"] if same else Outcome(cause["outcome"]).label
        cause["changes"] = sorted(cause["changes"], reverse=True)[:4]
    return {"causes": causes, "failed": sum(cause["n"] for cause in causes), "ended": ended.count()}


@dataclass(frozen=True)
class Mirror:
    """The mirror of one region, how many machines of it this person may see, and whether it was read too long ago."""

    mirror: RegionMirror
    machines: int
    late: bool


def mirrors(user: User, now: datetime) -> list[Mirror]:
    """Return the mirrors of the regions, with the machines that the person may see there (two queries)."""
    counted = visible_instances(user).order_by().values_list("account", "region").annotate(n=Count("pk"))
    machines = {(account, region): number for account, region, number in counted}
    rows = RegionMirror.objects.select_related("account").order_by("account__name", "region")
    return [
        Mirror(
            row,
            machines.get((row.account_id, row.region), 0),
            is_late(now, row.synced_at, row.instances),
        )
        for row in rows
    ]


@dataclass
class System:
    """One operating system of the fleet. `x` and `width` are percent of the drawing; `state` is past, soon or empty."""

    label: str
    ends: date | None
    state: str
    machines: int = 0
    busy: int = 0
    regions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    x: float = 0.0
    width: float = 0.0

    @property
    def named(self) -> bool:
        """Say whether the name fits below its bar: a letter takes about 0.65 % of the drawing where it is narrowest."""
        return self.width >= 0.65 * len(self.label)


def systems(user: User, today: date) -> dict[str, Any]:
    """Return the fleet by operating system, those past their end of life first (two queries)."""
    visible = visible_instances(user).order_by()
    by_label: dict[str, System] = {}
    for name, region, number in visible.values_list("os_name", "region").annotate(n=Count("pk")):
        system = _system(by_label, name, today)
        system.machines += number
        system.regions[region] += number
    busy = Instance.objects.filter(covered(user), gone_at=None, targets__open=True).order_by()
    for name, number in busy.values_list("os_name").annotate(n=Count("pk")):
        _system(by_label, name, today).busy += number
    ranked = sorted(
        by_label.values(),
        key=lambda system: ({"past": 0, "soon": 1}.get(system.state, 2), -system.machines, system.label),
    )
    total, at = sum(system.machines for system in ranked), 0.0
    for system in ranked:
        system.width = 100 * system.machines / total if total else 0.0
        system.x, at = at, at + system.width
    regions = sorted({region for system in ranked for region in system.regions})
    return {
        "systems": ranked,
        "total": total,
        "regions": regions if len(regions) <= 4 else [],
        "past": _sum(ranked, "past"),
        "soon": _sum(ranked, "soon"),
        "supported": _sum(ranked, ""),
    }


def _system(systems: dict[str, System], os_name: str, today: date) -> System:
    label = os_label(os_name) or "Not known"
    if label not in systems:
        systems[label] = System(label, end_of_life(os_name), support_state(os_name, today))
    return systems[label]


def _sum(systems: Iterable[System], state: str) -> int:
    return sum(system.machines for system in systems if system.state == state)
