"""Claim and settle: all the SQL of the engine that needs locks.

A claim raises the lease number; a settle is guarded by it. Whoever was slower than its lease finds 0 rows and changes nothing.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from fleet.audit.trail import event, record_all
from fleet.engine import pace
from fleet.engine.batch import LEASE_SECONDS
from fleet.engine.graph import FINAL, GRAPH, entering
from fleet.engine.results import Move, Result, State, Wait, hold_for_person
from fleet.engine.route import NOT_STAYING
from fleet.models import AuditEvent, Outcome, Replacement, Target, Transition

BATCH = 100
# Rows that are due a moment later are looked at with those that are due: a batch costs the same, however full it is.
TOGETHER = timedelta(seconds=0.5)
MOST_UNCLEAR = 10  # half a second a reading, and five are left of the ten seconds that a reading may be old
NOBODY_WORKED = timedelta(minutes=1)
STOPPED_BEFORE = (State.SNAPSHOTTING, State.REPLACING)
MOST_STOPS = 3  # times that a machine is stopped once more; then somebody else is at it, and a person looks
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
    moved: set[int] = set()
    transitions: list[Transition] = []
    closed_targets: list[int] = []
    events: list[AuditEvent] = []
    for row in rows:
        result = results[row.pk] = _bounded(row, results[row.pk])
        fields = _fields(row, result, now)
        # An answer of the cloud is told even where the row was overtaken: it happened.
        events += result.events
        kept = Replacement.objects.filter(pk=row.pk, lease=row.lease, state=row.state).update(**fields)
        if kept and "new_disk_id" in result.fields:
            moved.add(row.change_id)  # it is past the line: another one may come up to it
        if not kept or isinstance(result, Wait):
            continue
        moved.add(row.change_id)
        transitions.append(
            Transition(
                replacement=row,
                at=now,
                from_state=row.state,
                to_state=result.to,
                note=result.note[:500],
                lease=row.lease,
            )
        )
        if result.to in FINAL:
            closed_targets.append(row.target_id)
        events += _events_of_move(row, result)
    pace.learn(rows, results, now)
    Transition.objects.bulk_create(transitions)
    Target.objects.filter(pk__in=closed_targets).update(open=False)
    record_all(events)
    return moved


def _bounded(row: Replacement, result: Result) -> Result:
    """Let nothing go round for ever: each stay has a deadline, and to be stopped again begins another stay."""
    if not isinstance(result, Move) or result.to is not State.STOPPING or row.state not in STOPPED_BEFORE:
        return result
    passed = Transition.objects.filter(replacement=row)
    settled = passed.filter(from_state=State.HELD).order_by("-at").values_list("at", flat=True).first()
    again = passed.filter(from_state__in=STOPPED_BEFORE, to_state=State.STOPPING)
    if (again.filter(at__gt=settled) if settled else again).count() < MOST_STOPS:
        return result
    why = f"It was stopped {MOST_STOPS} times and does not stay stopped, or the cloud does not take it for stopped."
    code = str(result.fields.get("error_code", "")) or NOT_STAYING
    move = hold_for_person(row, f"{why} {result.note}", code=code, events=result.events)
    return replace(move, fields=result.fields | move.fields)


def _fields(row: Replacement, result: Result, now: datetime) -> dict[str, object]:
    fields: dict[str, object] = {**result.fields, "claims": 0, "leased_until": None}
    if result.note:
        fields["note"] = result.note[:500]
    if isinstance(result, Wait):
        return fields | {"due_at": now + timedelta(seconds=result.seconds)}
    if result.to not in GRAPH[State(row.state)].to:
        raise ValueError(f"{row.state} does not lead to {result.to}")
    return entering(row, result.to, now) | fields


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
