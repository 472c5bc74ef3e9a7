"""The figures of a run: one pass over the states of its machines."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from fleet.engine.admission import Counts, counts
from fleet.engine.policy import Policy
from fleet.lib.text import age
from fleet.models import Change, ChangeState, Outcome, ReplacementState
from fleet.models.replacements import LIVE

MOST_TILES = 2000
MOST_CELLS = 40
PACE_FROM = 5  # machines that must have ended before a pace is told
BY_STATE = {ReplacementState.QUEUED: "q", ReplacementState.HELD: "u", ReplacementState.DONE: "d"}
BY_OUTCOME = {
    Outcome.SUCCEEDED: "d",
    Outcome.ADOPTED: "d",
    Outcome.UNKNOWN: "u",
    Outcome.SKIPPED_DRIFT: "s",
    Outcome.CANCELLED: "s",
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """`before` and `past` count machines in flight by state, on this side and beyond the line of no return.

    `tiles` holds a letter for each machine in order, or nothing where there are too many. `left` is how many failures the
    change still takes, `worst` how many more machines can be lost from here.
    """

    c: Counts
    policy: Policy
    before: list[tuple[str, int]]
    past: list[tuple[str, int]]
    tiles: str
    left: int
    worst: int
    cells: list[str]
    elapsed: str
    forecast: str

    @property
    def in_flight_before(self) -> int:
        return sum(number for _, number in self.before)

    @property
    def in_flight_past(self) -> int:
        return sum(number for _, number in self.past)

    @property
    def moving(self) -> int:
        return self.c.in_flight - self.c.held

    @property
    def settled_failures(self) -> int:
        return self.c.failed - self.c.held

    @property
    def intact(self) -> int:
        return self.c.skipped + self.c.cancelled

    @property
    def parts(self) -> list[tuple[str, str, str]]:
        """The whole as a stacked bar: status, place and width as lengths of SVG."""
        shares = (
            ("ok", self.c.done),
            ("bad", self.settled_failures),
            ("warn", self.c.held),
            ("off", self.intact),
            ("run", self.moving),
        )
        found, at = [], 0
        for status, number in shares:
            if number:
                found.append((status, f"{100 * at / self.c.total:.2f}%", f"{100 * number / self.c.total:.2f}%"))
            at += number
        return found

    @property
    def nth(self) -> int:
        return self.policy.failures_allowed + 1


def numbers(change: Change, now: datetime) -> Numbers:
    """Count a run in two queries."""
    counted, policy = counts(change), Policy.of(change.policy)
    before: Counter[str] = Counter()
    past: Counter[str] = Counter()
    letters = []
    rows = change.replacements.order_by("target__position").values_list("state", "outcome", "first_sent_at")
    for state, outcome, sent in rows:
        letters.append(_letter(state, outcome))
        if state in LIVE or state == ReplacementState.HELD:
            (past if sent else before)[state] += 1
    left = max(0, policy.failures_allowed - counted.failed)
    running = change.state == ChangeState.RUNNING
    moving = counted.in_flight - counted.held
    worst = min(counted.queued + moving, left + policy.max_in_flight) if running else moving
    return Numbers(
        c=counted,
        policy=policy,
        before=_in_order(before),
        past=_in_order(past),
        tiles="".join(letters) if len(letters) <= MOST_TILES else "",
        left=left,
        worst=worst,
        cells=_cells(counted.failed, policy.failures_allowed),
        elapsed=_elapsed(change, now),
        forecast=_forecast(change, counted, now),
    )


def _letter(state: str, outcome: str) -> str:
    if state in LIVE:
        return "m"
    if outcome and state != ReplacementState.HELD:
        return BY_OUTCOME.get(Outcome(outcome), "f")
    return BY_STATE.get(ReplacementState(state), "s")


def _in_order(counted: Counter[str]) -> list[tuple[str, int]]:
    order = [*LIVE, ReplacementState.HELD]
    return [(str(state.label).lower(), counted[state]) for state in order if counted[state]]


def _cells(failed: int, allowed: int) -> list[str]:
    """Return one letter for each failure allowed, f where it is used; nothing where there are too many to count by eye."""
    if not 0 < allowed <= MOST_CELLS:
        return []
    used = min(failed, allowed)
    return ["f"] * used + [""] * (allowed - used)


def _elapsed(change: Change, now: datetime) -> str:
    if change.started_at is None:
        return ""
    return age(((change.finished_at or now) - change.started_at).total_seconds())


def _forecast(change: Change, counted: Counts, now: datetime) -> str:
    """Return about how long the rest takes at the pace so far, or nothing while too few have ended to know."""
    rest = counted.queued + counted.in_flight - counted.held
    if change.state != ChangeState.RUNNING or counted.ended < PACE_FROM or not rest or change.started_at is None:
        return ""
    return age((now - change.started_at).total_seconds() / counted.ended * rest)
