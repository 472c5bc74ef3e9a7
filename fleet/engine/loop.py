"""The loop: claim rows, read their machines, let the handler of their state act, write the results, look after the changes.

Then again. It runs as `fleet.worker.tick` and as `manage.py runner`; any number of loops, on any number of computers, do no harm
to one another.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from django.db.models import Min

from fleet.cloud import CloudError
from fleet.engine import claims
from fleet.engine.admission import look_after_change
from fleet.engine.batch import LEASE_SECONDS, Batch, retry_after
from fleet.engine.graph import GRAPH
from fleet.engine.readings import Readings
from fleet.engine.results import Move, Result, State, Wait, hold_for_person
from fleet.inventory.credentials import client_for
from fleet.lib.clock import Clock
from fleet.models import Change, ChangeState, Replacement

logger = logging.getLogger(__name__)
# Changes whose canary has ended and whose other machines begin by themselves at a set time.
HELD_BY_TIMER = Change.objects.filter(state=ChangeState.RUNNING, hold_until__isnull=False)


def step(clock: Clock, *, until: float = float("inf")) -> int:
    """Do once all that is due now; return how many machines were looked at.

    Machines that move on are handled in their next state at once, on the same reading. No batch is begun after `until`, in
    seconds of the monotonic clock.
    """
    looked_at = 0
    readings = Readings()
    for change_id in HELD_BY_TIMER.filter(hold_until__lte=clock.now()).values_list("pk", flat=True):
        look_after_change(change_id, clock.now())
    groups = deque(claims.next_groups(clock.now()))
    while groups and time.monotonic() < until:
        group = groups.popleft()
        closed_until = GRAPH[State(group.state)].closed_until
        if closed_until and (opens := closed_until(group.account_id, group.region, clock.now())):
            claims.postpone_unsent(group, until=opens, now=clock.now())
        # Taken before the claim, so that by our clock the lease never ends later than it does in the database.
        deadline = time.monotonic() + LEASE_SECONDS
        rows = claims.claim(group, clock.now())
        if not rows:
            continue
        looked_at += len(rows)
        results = _handle(rows, clock, readings, deadline)
        handled = [row for row in rows if row.pk in results]
        for change_id in claims.settle(handled, results, clock.now()):
            look_after_change(change_id, clock.now())
        onward = {result.to for result in results.values() if isinstance(result, Move) and result.to in GRAPH}
        groups.extendleft(claims.Group(group.account_id, group.region, state) for state in sorted(onward))
    return looked_at


def look_after_all_changes(clock: Clock) -> None:
    """Look after every change that is under way, also those whose worker died after it wrote a result."""
    for change_id in Change.objects.under_way().values_list("pk", flat=True):
        look_after_change(change_id, clock.now())


def run(clock: Clock, seconds: float, *, sleep: Callable[[float], None] = time.sleep, stop: Callable[[], bool]) -> int:
    """Work for at most `seconds`, and return early when nothing is due in that time or `stop()` says so."""
    end = time.monotonic() + seconds
    looked_at = 0
    look_after_all_changes(clock)
    while time.monotonic() < end and not stop():
        found = step(clock, until=end)
        looked_at += found
        if found:
            continue
        wait = next_due_in(clock)
        if wait is None or time.monotonic() + wait >= end:
            break
        # Not for long: another process may make something due at any moment.
        sleep(min(max(wait, 0.05), 1.0))
    return looked_at


def next_due_in(clock: Clock) -> float | None:
    """Return the seconds until something is due, or None where the engine has nothing to do."""
    rows = Replacement.objects.filter(due_at__isnull=False).aggregate(first=Min("due_at"))["first"]
    holds = HELD_BY_TIMER.aggregate(first=Min("hold_until"))["first"]
    due = min((moment for moment in (rows, holds) if moment), default=None)
    return None if due is None else max(0.0, (due - clock.now()) / timedelta(seconds=1))


def _handle(rows: list[Replacement], clock: Clock, readings: Readings, deadline: float) -> dict[int, Result]:
    """Read all machines of a batch at once, then let the state's handler say what follows for each."""
    rule = GRAPH[State(rows[0].state)]
    now = clock.now()
    results: dict[int, Result] = {}
    for row in rows:
        if row.claims > claims.MOST_CLAIMS:
            results[row.pk] = hold_for_person(
                row, f"Three times in a row nobody came back from working on it. {row.note}"
            )
        elif row.deadline_at and row.deadline_at < now:
            results[row.pk] = rule.overdue(row)
    to_handle = [row for row in rows if row.pk not in results]
    if not to_handle:
        return results
    account, region = to_handle[0].account, to_handle[0].region
    try:
        batch = Batch(
            rows=to_handle,
            account=account,
            region=region,
            client=client_for(account, region),
            readings=readings.of(to_handle, clock),
            clock=clock,
            now=now,
            deadline=deadline,
        )
        results |= rule.handler(batch)
        readings.keep(to_handle, results, batch.readings, now)
    except CloudError as error:
        refused = Wait(30, f"The cloud refuses to show it: {error.message}", {"error_code": error.code})
        result = retry_after(error, now) or refused
        results |= {row.pk: result for row in to_handle}
    except Exception:
        # A mistake of ours must not stop the loop. No result is written: when the lease is over the rows are claimed one by one,
        # so that one bad row does not hold up the others, and after the third time a person sees it.
        logger.exception("Handling %d rows in state %s failed", len(to_handle), to_handle[0].state)
    return results
