"""When to look at a machine again: each account's usual time in each state is learnt from what was seen."""

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
# One look comes at half of the usual time and one a little before its end, so that what is learnt can also become shorter:
# else the times of a slow day at the provider would be waited for ever after.
EARLY = 0.98
HALF = 0.5
WORTH_HALVING = 5.0  # seconds: where the usual time is shorter, a look at half of it is not worth its call
# A machine that is found done at the look that expected it was probably done earlier: so much of the time counts.
SHORTER = 0.85

_known: dict[int, tuple[float, dict[str, float]]] = {}


def learnt_seconds(account_id: int) -> Mapping[str, float]:
    """Return the seconds that states usually take in an account, as far as they are learnt.

    At most one query in ten seconds for each process and account.
    """
    read_at, seconds = _known.get(account_id, (float("-inf"), {}))
    if time.monotonic() - read_at > KNOWN_FOR:
        rows = StepTiming.objects.filter(account=account_id)
        seconds = dict(rows.values_list("state", "seconds"))
        _known[account_id] = (time.monotonic(), seconds)
    return seconds


def forget() -> None:
    """Read the table again the next time: for tests that exchange the database under a process."""
    _known.clear()


def wait_began(row: Replacement) -> datetime:
    """Return when the wait began: when we asked or sent, else when the state was entered."""
    if row.state in (State.STOPPING, State.STARTING):
        return row.asked_at or row.entered_at
    if row.state in (State.BEFORE, State.AFTER):
        return row.step_asked_at or row.entered_at
    if row.state == State.REPLACING:
        return row.first_sent_at or row.entered_at
    return row.entered_at


def seconds_to_next_look(elapsed: float, usual: float | None) -> float:
    """Return the seconds until the next look, `elapsed` seconds after the wait began; `usual` is how long it usually takes.

    Where that is known: at half of it, just before its end, then a twentieth of it apart. Else soon at first, then after a
    quarter of the time that has passed. After a look that came too early never less than one second, and never more than ten.
    """
    if usual is None:
        return min(10.0, max(1.0, elapsed / 4))
    if usual >= WORTH_HALVING and elapsed < HALF * usual - 0.2:
        return HALF * usual - elapsed
    if elapsed < EARLY * usual - 0.2:
        return EARLY * usual - elapsed
    return min(10.0, max(1.0, usual / 20, (elapsed - usual) / 4))


def learn(rows: Iterable[Replacement], results: Mapping[int, Result], now: datetime) -> None:
    """Add to the moving means how long these machines were in their states, where they went on as they should."""
    taken: dict[tuple[int, str], list[float]] = defaultdict(list)
    for row in rows:
        result = results[row.pk]
        if isinstance(result, Move) and row.state in LEARNT and _went_on(State(row.state), result.to):
            elapsed = (now - wait_began(row)).total_seconds()
            sample = _sample(elapsed, row.late.total_seconds(), learnt_seconds(row.account_id).get(row.state))
            if sample is not None:
                taken[row.account_id, row.state].append(sample)
    for (account, state), seconds in sorted(taken.items()):
        _add(account, state, sum(seconds) / len(seconds), max(seconds), len(seconds))


def _sample(elapsed: float, late: float, usual: float | None) -> float | None:
    """Return the seconds to learn from a machine that was found done after `elapsed` seconds; None where there are none.

    A machine found done at a look that expected it was probably done earlier; count 85 % of the time. A look that came `late`
    teaches nothing longer: that no worker ran for an hour says nothing about the cloud.
    """
    if usual is not None and elapsed <= usual:
        return SHORTER * elapsed
    return elapsed if late <= max(2.0, elapsed / 10) else None


def _went_on(state: State, to: State) -> bool:
    return to in ORDER and ORDER.index(to) > ORDER.index(state) and to is not State.STARTING


def _add(account: int, state: str, mean: float, longest: float, machines: int) -> None:
    """Move the mean towards that of the new machines: by their share, but at least a tenth and at most half of the way.

    Machines that were done at half of the usual time replace it.
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
