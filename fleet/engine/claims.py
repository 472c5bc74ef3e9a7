"""Claiming rows to work on, and writing down what came of them.

A claim raises the lease number of a row, and a result is written only while that number stands. So a worker that was slower
than its lease changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from fleet.audit.trail import record_all
from fleet.engine import moves, pace
from fleet.engine.batch import LEASE_SECONDS, machine_event
from fleet.engine.results import Move, Result, State
from fleet.models import AuditEvent, Outcome, Replacement

BATCH = 100
# Rows that are due this much later are taken along: a batch costs the same, however full it is.
TOGETHER = timedelta(seconds=0.5)
# Machines whose call was not answered are read one by one, half a second each: after ten of them the first reading is five
# seconds old, and a call may leave on one of ten seconds at most.
MOST_UNANSWERED = 10
NOBODY_WORKED = timedelta(minutes=1)  # a row that was due this long ago was looked at by no worker
MOST_CLAIMS = 3  # a row that was claimed this often without a result is held: a person looks at it


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that can be worked on together: of one account and region, in one state."""

    account_id: int
    region: str
    state: str


def next_groups(now: datetime, most: int = 8) -> list[Group]:
    """Return the groups that have rows due, the longest waiting first."""
    rows = (
        Replacement.objects.filter(due_at__lte=now)
        .order_by("due_at", "pk")
        .values_list("account_id", "region", "state")[: BATCH * most]
    )
    return [Group(*row) for row in dict.fromkeys(rows)][:most]


def claim(group: Group, now: datetime) -> list[Replacement]:
    """Claim up to 100 due rows of a group, and return them with what belongs to them.

    A row that was claimed before and came to no result is claimed alone, so that one bad row does not hold up a hundred.
    """
    with transaction.atomic():
        due = (
            Replacement.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
            .filter(account=group.account_id, region=group.region, state=group.state)
            .order_by("due_at", "pk")
        )
        rows = list(due.filter(claims=0, due_at__lte=now + TOGETHER)[:BATCH]) or list(due.filter(due_at__lte=now)[:1])
        rows = _with_few_unanswered(rows)
        pks = [row.pk for row in rows]
        until = now + timedelta(seconds=LEASE_SECONDS)
        Replacement.objects.filter(pk__in=pks).update(
            lease=F("lease") + 1, claims=F("claims") + 1, leased_until=until, due_at=until
        )
        _give_back_lost_time(rows, now)
        # Read under the same lock: a process that stalls here must not take a later owner's lease number for its own.
        claimed = Replacement.objects.filter(pk__in=pks).order_by("pk")
        due_at = {row.pk: row.due_at for row in rows}
        found = list(claimed.select_related("target", "change", "change__secret", "instance", "account"))
        for row in found:
            # Where an earlier worker died over it, its lease passed as well, and nobody looked.
            unseen = timedelta(seconds=LEASE_SECONDS) if row.claims > 1 else timedelta()
            row.late = now - (due_at[row.pk] or now) + unseen
        return found


def _with_few_unanswered(rows: list[Replacement]) -> list[Replacement]:
    """Leave out rows with an unanswered call beyond the first few, so that no reading of the batch is too old to act on."""
    unanswered = [row.pk for row in rows if row.state == State.REPLACING and row.first_sent_at and not row.new_disk_id]
    later = set(unanswered[MOST_UNANSWERED:])
    return [row for row in rows if row.pk not in later]


def _give_back_lost_time(rows: list[Replacement], now: datetime) -> None:
    """Move the deadlines of rows that no worker looked at in time: that is not the machine's fault."""
    for row in rows:
        if row.due_at and row.deadline_at and now - row.due_at > NOBODY_WORKED:
            Replacement.objects.filter(pk=row.pk).update(deadline_at=row.deadline_at + (now - row.due_at))


def postpone_unsent(group: Group, *, until: datetime, now: datetime) -> None:
    """Let the rows of a group whose call was not sent wait until `until`, without looking at them: the quota is used up."""
    Replacement.objects.filter(
        account=group.account_id,
        region=group.region,
        state=group.state,
        due_at__lte=now + TOGETHER,
        claims=0,
        returning=False,
        first_sent_at=None,
        new_disk_id="",
        deadline_at__gt=until,
    ).update(due_at=until)


@transaction.atomic
def settle(rows: list[Replacement], results: dict[int, Result], now: datetime) -> set[int]:
    """Write down what came of a claimed batch; return the ids of the changes of which a machine moved or has its new disk.

    Moves and their audit events are written in one transaction. A row that was overtaken is left as it is.
    """
    written = moves.settle_claimed(((row, results[row.pk]) for row in rows), now)
    touched: set[int] = set()
    events: list[AuditEvent] = []
    for row in rows:
        result = results[row.pk]
        # What the cloud answered is told even where the row was overtaken: it happened.
        events += result.events
        if row.pk not in written:
            continue
        if isinstance(result, Move):
            touched.add(row.change_id)
            events += _events_of_move(row, result)
        elif "new_disk_id" in result.fields:
            touched.add(row.change_id)  # one fewer waits for its call: another machine may begin
    pace.learn(rows, results, now)
    record_all(events)
    return touched


def _events_of_move(row: Replacement, result: Move) -> list[AuditEvent]:
    """Return the event of an end or a hold, unless the handler has told of it itself."""
    outcome = result.fields.get("outcome", row.outcome)
    by_state = {State.HELD: "instance.held", State.FAILED: "instance.failed", State.CANCELLED: "instance.skipped"}
    action = by_state.get(result.to)
    if result.to is State.CANCELLED and outcome == Outcome.CANCELLED:
        action = "instance.cancelled"
    if action is None or any(each.action == action for each in result.events):
        return []
    code = result.fields.get("error_code", "")
    return [machine_event(row, action, why=result.note, code=code, outcome=outcome)]
