"""Claim and settle: all the SQL of the engine that needs locks.

A claim raises the lease number; a settle is guarded by it. Whoever was slower than its lease finds 0 rows and changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from fleet.audit.trail import event, record_all
from fleet.engine import moves, pace
from fleet.engine.batch import LEASE_SECONDS
from fleet.engine.results import Move, Result, State
from fleet.models import AuditEvent, Outcome, Replacement

BATCH = 100
# Rows that are due a moment later are looked at with those that are due: a batch costs the same, however full it is.
TOGETHER = timedelta(seconds=0.5)
MOST_UNCLEAR = 10  # half a second a reading, and five are left of the ten seconds that a reading may be old
NOBODY_WORKED = timedelta(minutes=1)
MOST_CLAIMS = 3  # a row that was claimed so often without a settle is poisoned: a person looks at it


@dataclass(frozen=True, slots=True)
class Group:
    """Where the most urgent work is."""

    account_id: int
    region: str
    state: str


def next_groups(now: datetime, most: int = 8) -> list[Group]:
    """Return where rows are due, the longest waiting first."""
    rows = (
        Replacement.objects.filter(due_at__lte=now)
        .order_by("due_at", "pk")
        .values_list("account_id", "region", "state")[: BATCH * most]
    )
    return [Group(*row) for row in dict.fromkeys(rows)][:most]


def claim(group: Group, now: datetime) -> list[Replacement]:
    """Take up to 100 due rows of a group, and write down that they are taken.

    A row that was claimed before and never settled is taken alone, so that one poisoned row does not hold a hundred.
    """
    with transaction.atomic():
        due = (
            Replacement.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
            .filter(account=group.account_id, region=group.region, state=group.state)
            .order_by("due_at", "pk")
        )
        rows = list(due.filter(claims=0, due_at__lte=now + TOGETHER)[:BATCH]) or list(due.filter(due_at__lte=now)[:1])
        rows = _as_many_as_are_read_in_time(rows)
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
            # The lease of one that died over it passed unseen.
            nobody = timedelta(seconds=LEASE_SECONDS) if row.claims > 1 else timedelta()
            row.late = now - (due_at[row.pk] or now) + nobody
        return found


def _as_many_as_are_read_in_time(rows: list[Replacement]) -> list[Replacement]:
    """Leave out unanswered ones beyond the first few: each takes a reading of its own, and none may be too old to act on."""
    unclear = [row.pk for row in rows if row.state == State.REPLACING and row.first_sent_at and not row.new_disk_id]
    later = set(unclear[MOST_UNCLEAR:])
    return [row for row in rows if row.pk not in later]


def _give_back_lost_time(rows: list[Replacement], now: datetime) -> None:
    """Move the deadlines of rows that nobody looked at in time: what no worker did is not the machine's fault."""
    for row in rows:
        if row.due_at and row.deadline_at and now - row.due_at > NOBODY_WORKED:
            Replacement.objects.filter(pk=row.pk).update(deadline_at=row.deadline_at + (now - row.due_at))


def postpone_unsent(group: Group, *, until: datetime, now: datetime) -> None:
    """Let the machines of a group that wait to be sent wait until `until`, without a look at them: the quota is used up."""
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
    """Write down what came of a claimed batch; return the changes of which a machine moved, or was sent.

    Transition and audit events are in the same transaction as the move. A row that was overtaken is left as it is.
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
            touched.add(row.change_id)  # it is past the line: another one may come up to it
    pace.learn(rows, results, now)
    record_all(events)
    return touched


def _events_of_move(row: Replacement, result: Move) -> list[AuditEvent]:
    """Return the event of an end or a hold, unless the handler told it itself."""
    outcome = result.fields.get("outcome", row.outcome)
    by_state = {State.HELD: "instance.held", State.FAILED: "instance.failed", State.CANCELLED: "instance.skipped"}
    action = by_state.get(result.to)
    if result.to is State.CANCELLED and outcome == Outcome.CANCELLED:
        action = "instance.cancelled"
    if action is None or any(told.action == action for told in result.events):
        return []
    data = {
        "why": result.note,
        "code": result.fields.get("error_code", ""),
        "outcome": outcome,
    }
    return [
        event(
            action=action,
            subject=str(row.instance),
            change=row.change_id,
            instance=row.instance_id,
            account=row.account_id,
            data=data,
        )
    ]
