"""The pace of looking: how long each state usually takes is learnt from what was seen, so that a look comes when it can help."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import connection

from fleet.engine.results import Move, Result, State
from fleet.engine.route import ORDER
from fleet.models import Replacement, StepTiming

# States in which the cloud, or a machine, is waited for. The others last as long as our own work.
LEARNT = frozenset(
    {
        State.IMAGING,
        State.BEFORE,
        State.STOPPING,
        State.SNAPSHOTTING,
        State.REPLACING,
        State.STARTING,
        State.AFTER,
    }
)
KNOWN_FOR = 10.0  # seconds that a process keeps what it has read of the table
# The look that is to find it done comes a little before the usual end, and one at half of it: what is learnt can then also
# become shorter. Without the first a long day at the provider would be waited for on every later one.
EARLY = 0.98
HALF = 0.5
WORTH_HALVING = 5.0  # seconds: of what is shorter, a look at half time is not worth its call
SHORTER = 0.85  # of the time after which a look found it done that was the first to expect so: it may have been done long before

_known: dict[int, tuple[float, dict[str, float]]] = {}


def usual(account_id: int) -> Mapping[str, float]:
    """Return the seconds that each learnt state usually takes in an account: one query every ten seconds a process."""
    read_at, seconds = _known.get(account_id, (float("-inf"), {}))
    if time.monotonic() - read_at > KNOWN_FOR:
        rows = StepTiming.objects.filter(account=account_id)
        seconds = dict(rows.values_list("state", "seconds"))
        _known[account_id] = (time.monotonic(), seconds)
    return seconds


def forget() -> None:
    """Read the table anew at the next look: for whoever changes databases under a process."""
    _known.clear()


def began(row: Replacement) -> datetime:
    """Return when that began which the present state waits for: the asking, the sending, else the coming into the state."""
    if row.state in (State.STOPPING, State.STARTING):
        return row.asked_at or row.entered_at
    if row.state in (State.BEFORE, State.AFTER):
        return row.step_asked_at or row.entered_at
    if row.state == State.REPLACING:
        return row.first_sent_at or row.entered_at
    return row.entered_at


def look_after(elapsed: float, usually: float | None) -> float:
    """Return the seconds until the next look, `elapsed` seconds after what is waited for began.

    Where the usual time is known: at half of it, just before it is over, then a twentieth of it apart. Else soon at first, then
    a quarter of the time that it has taken. Never under one second after a look that came too early, never over ten.
    """
    if usually is None:
        return min(10.0, max(1.0, elapsed / 4))
    if usually >= WORTH_HALVING and elapsed < HALF * usually - 0.2:
        return HALF * usually - elapsed
    if elapsed < EARLY * usually - 0.2:
        return EARLY * usually - elapsed
    return min(10.0, max(1.0, usually / 20, (elapsed - usually) / 4))


def learn(rows: Iterable[Replacement], results: Mapping[int, Result], now: datetime) -> None:
    """Take what these machines took, where they went on as they should, into the moving mean of their state and account."""
    taken: dict[tuple[int, str], list[float]] = defaultdict(list)
    for row in rows:
        result = results[row.pk]
        if isinstance(result, Move) and row.state in LEARNT and _went_on(State(row.state), result.to):
            elapsed = (now - began(row)).total_seconds()
            sample = _sample(elapsed, row.late.total_seconds(), usual(row.account_id).get(row.state))
            if sample is not None:
                taken[row.account_id, row.state].append(sample)
    for (account, state), seconds in sorted(taken.items()):
        _add(account, state, sum(seconds) / len(seconds), max(seconds), len(seconds))


def _sample(elapsed: float, late: float, usually: float | None) -> float | None:
    """Return what a machine that was found done `elapsed` seconds after the beginning tells of its state; None for nothing.

    It was done at some moment since the look before, and that look was planned for when it would be worth it. A look that
    came late tells nothing but that it may be shorter: that nobody worked for an hour is no pace of the cloud's.
    """
    if usually is not None and elapsed <= usually:
        return SHORTER * elapsed
    return elapsed if late <= max(2.0, elapsed / 10) else None


def _went_on(state: State, to: State) -> bool:
    return to in ORDER and ORDER.index(to) > ORDER.index(state) and to is not State.STARTING


def _add(account: int, state: str, mean: float, longest: float, machines: int) -> None:
    """Move the mean by the share of the new machines, at least a tenth and at most a half of the way.

    Machines that were done at half time move it the whole way.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO fleet_steptiming AS t (account_id, state, seconds, longest, seen) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (account_id, state) DO UPDATE SET"
            " seconds = CASE WHEN EXCLUDED.seconds < %s * t.seconds THEN EXCLUDED.seconds"
            " ELSE t.seconds + (EXCLUDED.seconds - t.seconds)"
            " * least(0.5, greatest(0.1, EXCLUDED.seen::float8 / (t.seen + EXCLUDED.seen))) END,"
            " longest = greatest(0.9 * t.longest, EXCLUDED.longest), seen = t.seen + EXCLUDED.seen",
            [account, state, mean, longest, machines, HALF * 1.2],
        )
    _known.pop(account, None)
