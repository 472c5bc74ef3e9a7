"""The only door through which a machine moves from state to state.

A move is one whole: the row's new state, its entry in the history (`Transition`), the end of its target where the state is
final, and the claim of whoever worked on it, which is over. All of it is written in the transaction that is open.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db.models import F

from fleet.engine.graph import FINAL, GRAPH, time_for
from fleet.engine.results import Move, Result, RowFields, State, Wait
from fleet.models import Replacement, Target, Transition

# What a state begins with: whatever was noted during an earlier stay in it says nothing about this one.
FRESH: dict[State, RowFields] = {
    State.QUEUED: {
        "returning": False,
        "was_running": None,
        "asked_at": None,
        "forced": False,
        "snapshot_id": "",
        "step_id": "",
        "step_asked_at": None,
        "error_code": "",
        "outcome": "",
    },
    State.BEFORE: {"step_id": "", "step_asked_at": None},
    State.STOPPING: {"asked_at": None, "forced": False},
    State.SNAPSHOTTING: {"snapshot_id": ""},
    State.STARTING: {"asked_at": None, "returning": False},
    State.FAILED: {"returning": False},
    State.CANCELLED: {"returning": False},
    State.AFTER: {"step_id": "", "step_asked_at": None},
}


def move(moves: Sequence[tuple[Replacement, Move]], now: datetime) -> None:
    """Carry out these moves, whoever works on the machines: the lease rises, so that a worker finds itself overtaken.

    For what people and the admission decide. The caller holds the rows locked. Rows that change alike, one after the other,
    are written by one statement.
    """
    written = [(row.pk, _columns_of_move(row, decided, now)) for row, decided in moves]
    for columns, alike in groupby(written, key=itemgetter(1)):
        Replacement.objects.filter(pk__in=[pk for pk, _ in alike]).update(**columns, lease=F("lease") + 1)
    _write_history(moves, now, overtaken=1)


def settle_claimed(results: Iterable[tuple[Replacement, Result]], now: datetime) -> set[int]:
    """Write what came of claimed rows, each in the name of its claim; return the keys of those that were written.

    A row whose lease rose since, or that moved, belongs to somebody else by now, and is left as it is. Raises ValueError for
    a move that the graph does not have.
    """
    written: set[int] = set()
    moved: list[tuple[Replacement, Move]] = []
    for row, result in results:
        claimed = Replacement.objects.filter(pk=row.pk, lease=row.lease, state=row.state)
        if isinstance(result, Wait):
            columns = _columns(result, {"due_at": now + timedelta(seconds=result.seconds)})
        elif result.to in GRAPH[State(row.state)].to:
            columns = _columns_of_move(row, result, now)
        else:
            raise ValueError(f"{row.state} does not lead to {result.to}")
        if claimed.update(**columns):
            written.add(row.pk)
            if isinstance(result, Move):
                moved.append((row, result))
    _write_history(moved, now)
    return written


def entering(row: Replacement, to: State, now: datetime) -> RowFields:
    """Return the fields of a row that comes into a state, apart from the state itself."""
    fields: RowFields = {"entered_at": now, "due_at": None, "deadline_at": None}
    if to in GRAPH:
        fields["due_at"], fields["deadline_at"] = now, now + time_for(row, to)
    if to in FINAL:
        fields["finished_at"] = now
    fields.update(FRESH.get(to, {}))
    return fields


def _columns_of_move(row: Replacement, result: Move, now: datetime) -> dict[str, Any]:
    return _columns(result, entering(row, result.to, now)) | {"state": result.to}


def _columns(result: Result, fields: RowFields) -> dict[str, Any]:
    """Return all columns that are written: what the result itself says stands above what `fields` say."""
    columns = {**fields, **result.fields, "claims": 0, "leased_until": None}
    if result.note:
        columns["note"] = result.note[:500]
    return columns


def _write_history(moved: Sequence[tuple[Replacement, Move]], now: datetime, *, overtaken: int = 0) -> None:
    Transition.objects.bulk_create(
        Transition(
            replacement=row,
            at=now,
            from_state=row.state,
            to_state=result.to,
            note=result.note[:500],
            lease=row.lease + overtaken,
        )
        for row, result in moved
    )
    ended = [row.target_id for row, result in moved if result.to in FINAL]
    Target.objects.filter(pk__in=ended).update(open=False)
