"""The figures of a run, from counts alone: no answer of the database grows with the number of machines."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from fleet.engine.route import NOTHING_SENT
from fleet.engine.waves import Budget, Counts, RunCounts, budgets, counts_of
from fleet.guards.policy import Policy
from fleet.lib.text import age
from fleet.models import Change, ChangeState, ReplacementState
from fleet.models.replacements import LIVE
from fleet.web.change.run.forecast import Course, course_of, ends_at

MOST_CELLS = 40
Part = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Gauge:
    """One error budget as it is drawn: `cells` has one entry for each failure allowed, `f` where it is used up.

    Without cells the budget is too large for them and drawn as a bar.
    """

    budget: Budget
    label: str
    cells: list[str]

    @property
    def ends(self) -> int:
        """The failure that stops the change."""
        return (self.budget.allowed or 0) + 1


@dataclass(frozen=True, slots=True)
class Numbers:
    """`before` and `past` count machines in flight by state, on this side and beyond the line of no return.

    `worst` is how many more machines can be lost from here, `behind` how many fewer have ended than usually would have by
    now, `rest` how long it still takes, `hold_left` how long the canary's timer still holds the other waves back.
    """

    at: RunCounts
    policy: Policy
    before: list[tuple[str, int]]
    past: list[tuple[str, int]]
    gauges: list[Gauge]
    worst: int
    course: Course
    elapsed: str
    rest: str
    ends_at: datetime | None
    hold_left: str

    @property
    def c(self) -> Counts:
        return self.at.whole

    @property
    def moving(self) -> int:
        return self.c.in_flight - self.c.held

    @property
    def settled_failures(self) -> int:
        return self.c.failed - (self.c.held - self.c.inconclusive)

    @property
    def intact(self) -> int:
        return self.c.skipped + self.c.cancelled

    @property
    def behind(self) -> int:
        return max(0, (self.course.wanted or 0) - self.c.ended)

    @property
    def parts(self) -> list[Part]:
        return parts_of(self.c)


def numbers(change: Change, now: datetime) -> Numbers:
    """Count a run: four queries."""
    at, policy = counts_of(change), Policy.of(change.policy)
    before, past = _stages(change)
    course = course_of(change, policy, at, now)
    end = ends_at(course, now)
    return Numbers(
        at=at,
        policy=policy,
        before=before,
        past=past,
        # A budget without a limit of which nothing is used tells nobody anything.
        gauges=[_gauge(budget) for budget in budgets(change, at) if budget.allowed is not None or budget.used],
        worst=_worst(change, policy, at),
        course=course,
        elapsed=_elapsed(change, now),
        rest=age(course.rest) if course.rest else "",
        ends_at=end,
        hold_left=age((change.hold_until - now).total_seconds()) if change.hold_until else "",
    )


def parts_of(c: Counts) -> list[Part]:
    """Return the machines as a stacked bar: of each part its status, and its place and width as SVG lengths."""
    shares = (
        ("ok", c.done),
        ("bad", c.failed - (c.held - c.inconclusive)),
        ("warn", c.held),
        ("off", c.skipped + c.cancelled),
        ("run", c.in_flight - c.held),
    )
    parts, at = [], 0
    for status, number in shares:
        if number:
            parts.append((status, f"{100 * at / c.total:.2f}%", f"{100 * number / c.total:.2f}%"))
        at += number
    return parts


def _stages(change: Change) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Count what is in flight or held by state, on both sides of the line of no return."""
    rows = (
        change.replacements.filter(state__in=[*LIVE, ReplacementState.HELD])
        .order_by()
        .values_list("state")
        .annotate(machines=Count("pk"), untouched=Count("pk", filter=NOTHING_SENT))
    )
    counted = {state: (untouched, machines - untouched) for state, machines, untouched in rows}
    order = [state for state in (*LIVE, ReplacementState.HELD) if state in counted]
    sides = [[(str(state.label).lower(), counted[state][side]) for state in order] for side in (0, 1)]
    before, past = ([(words, number) for words, number in side if number] for side in sides)
    return before, past


def _gauge(budget: Budget) -> Gauge:
    where = budget.where[:1].upper() + budget.where[1:]
    label = {"whole": "Failures, the whole", "skips": "Skipped machines"}.get(budget.name, f"Failures, {where.lower()}")
    allowed = budget.allowed or 0
    used = min(budget.used, allowed)
    cells = ["f"] * used + [""] * (allowed - used) if 0 < allowed <= MOST_CELLS else []
    return Gauge(budget, label, cells)


def _worst(change: Change, policy: Policy, at: RunCounts) -> int:
    """Return how many more machines can be lost: the failures still allowed, and those in flight when that is used up."""
    moving = at.whole.in_flight - at.whole.held
    if change.state != ChangeState.RUNNING:
        return moving
    left = max(0, policy.failures_allowed - max(0, at.whole.failed - change.failures_forgiven))
    return min(at.whole.queued + moving, left + policy.max_in_flight)


def _elapsed(change: Change, now: datetime) -> str:
    if change.started_at is None:
        return ""
    return age(((change.finished_at or now) - change.started_at).total_seconds())
