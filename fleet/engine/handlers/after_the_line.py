"""After the line of no return: what the old disk carried is put back, the machine is started, and all of it is verified."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from fleet.cloud import BatchAnswer, CloudError, EcsClient
from fleet.cloud.changing import settable
from fleet.engine.batch import Batch, machine_event, retry_after
from fleet.engine.handlers.power import ask_to_start, cause_only
from fleet.engine.results import Move, Result, RowFields, State, Wait, ended, hold_for_person
from fleet.engine.route import onward
from fleet.inventory.reading import Reading
from fleet.models import AuditEvent, Login, Outcome, Replacement

ASK_AGAIN = timedelta(seconds=60)
MOST_A_CALL = 50
FAILED_BEFORE = frozenset({Outcome.FAILED_UNTOUCHED, Outcome.SKIPPED_DRIFT, Outcome.CANCELLED})


@dataclass(frozen=True, slots=True)
class PutBack:
    """One thing that is put back on new disks: which machines share a call (`key`), and the call itself."""

    what: str
    key: Callable[[Replacement], str]
    act: Callable[[list[Replacement]], BatchAnswer]


def restoring(batch: Batch) -> dict[int, Result]:
    """Make it true that the new disk has the old one's snapshot policy and tags, and the machine its key pair.

    What the cloud refuses to put back is told of and does not fail the machine: its disk is good, and a person can repair it.
    """
    results: dict[int, Result] = {}
    missing: dict[int, list[str]] = {}
    for row in batch.rows:
        reading = batch.reading(row)
        if not reading.exists or reading.disk_id != row.new_disk_id:
            results[row.pk] = hold_for_person(
                row, f"Its system disk is {reading.disk_id or 'gone'}; our call made {row.new_disk_id}."
            )
        else:
            missing[row.pk] = _missing(row, reading)
    rows = [row for row in batch.rows if row.pk not in results]
    events: dict[int, list[AuditEvent]] = {row.pk: [] for row in rows}
    waits: dict[int, Wait] = {}
    for put_back in _all_to_put_back(batch.client):
        for group in _groups(put_back, [row for row in rows if put_back.what in missing[row.pk]]):
            _put_back_group(put_back, group, batch.now, events, waits)
    for row in rows:
        wait = waits.get(row.pk)
        restored: RowFields = {"restored": row.restored}
        results[row.pk] = (
            Wait(wait.seconds, wait.note, restored, events[row.pk]) if wait else _go_on(row, events[row.pk])
        )
    return results


def _groups(put_back: PutBack, rows: list[Replacement]) -> Iterator[list[Replacement]]:
    """Yield the machines that share a call: the same is put back on them, and they are at most 50, as the API allows."""
    for _, group in groupby(sorted(rows, key=put_back.key), key=put_back.key):
        whole = list(group)
        yield from (whole[start : start + MOST_A_CALL] for start in range(0, len(whole), MOST_A_CALL))


def _missing(row: Replacement, reading: Reading) -> list[str]:
    """Return what the old disk carried and the new one does not have."""
    carried, missing = row.carried, []
    if carried.get("snapshot_policy") and reading.snapshot_policy != carried["snapshot_policy"]:
        missing.append("snapshot_policy")
    if not settable(carried.get("disk_tags", {})).items() <= reading.disk_tags.items():
        missing.append("disk_tags")
    # With a password chosen on purpose the old key pair stays off: binding it would turn that password off on Linux.
    if row.change.login == Login.IMAGE and carried.get("key_pair") and not reading.key_pair:
        missing.append("key_pair")
    return [what for what in missing if what not in row.restored and f"not {what}" not in row.restored]


def _all_to_put_back(client: EcsClient) -> list[PutBack]:
    def policy(rows: list[Replacement]) -> BatchAnswer:
        request_id = client.apply_auto_snapshot_policy(
            policy_id=rows[0].carried["snapshot_policy"], disk_ids=[row.new_disk_id for row in rows]
        )
        return BatchAnswer(request_id, ())

    def tags(rows: list[Replacement]) -> BatchAnswer:
        request_id = client.tag_disks(
            disk_ids=[row.new_disk_id for row in rows], tags=settable(rows[0].carried["disk_tags"])
        )
        return BatchAnswer(request_id, ())

    def key_pair(rows: list[Replacement]) -> BatchAnswer:
        return client.attach_key_pair(name=rows[0].carried["key_pair"], ids=[row.instance.instance_id for row in rows])

    return [
        PutBack("snapshot_policy", lambda row: str(row.carried["snapshot_policy"]), policy),
        PutBack("disk_tags", lambda row: repr(sorted(row.carried["disk_tags"].items())), tags),
        PutBack("key_pair", lambda row: str(row.carried["key_pair"]), key_pair),
    ]


def _put_back_group(
    put_back: PutBack,
    group: list[Replacement],
    now: datetime,
    events: dict[int, list[AuditEvent]],
    waits: dict[int, Wait],
) -> None:
    try:
        answer = put_back.act(group)
    except CloudError as error:
        again = retry_after(error, now)
        if again is None and len(group) > 1:
            # The refusal does not say which machine it is about: each gets a call of its own.
            for row in group:
                _put_back_group(put_back, [row], now, events, waits)
            return
        for row in group:
            if again:
                waits[row.pk] = again
            else:
                row.restored = [*row.restored, f"not {put_back.what}"]
                events[row.pk].append(
                    machine_event(
                        row,
                        "instance.call_refused",
                        request_id=error.request_id,
                        code=error.code,
                        putting_back=put_back.what,
                    )
                )
        return
    failed = {machine.instance_id for machine in answer.machines if not machine.ok}
    for row in group:
        good = row.instance.instance_id not in failed
        row.restored = [*row.restored, put_back.what if good else f"not {put_back.what}"]
        action = "instance.restored" if good else "instance.call_refused"
        events[row.pk].append(
            machine_event(row, action, request_id=answer.request_id, what=put_back.what, disk=row.new_disk_id)
        )


def _go_on(row: Replacement, events: list[AuditEvent]) -> Move:
    return Move(onward(row, State.RESTORING), _lost(row), {"restored": row.restored}, events)


def _lost(row: Replacement) -> str:
    """Return a sentence that says what the old disk carried and the new one does not, or nothing."""
    lost = [what[4:].replace("_", " ") for what in row.restored if what.startswith("not ")]
    return f"Could not be put back: {', '.join(lost)}." if lost else ""


def starting(batch: Batch) -> dict[int, Result]:
    """Make it true that the machine runs again, as it did before."""
    results: dict[int, Result] = {}
    to_ask: list[Replacement] = []
    for row in batch.rows:
        reading = batch.reading(row)
        if not reading.exists:
            results[row.pk] = hold_for_person(row, "The machine no longer exists.")
        elif reading.status == "Running":
            results[row.pk] = _runs(row)
        elif reading.status == "Stopped" and (row.asked_at is None or batch.now - row.asked_at > ASK_AGAIN):
            to_ask.append(row)
        else:
            results[row.pk] = Wait(batch.pace(row), row.note or "It was asked to start.")
    if to_ask:
        results |= ask_to_start(batch, to_ask)
    return results


def _runs(row: Replacement) -> Move:
    if row.outcome in FAILED_BEFORE:
        return ended(Outcome(row.outcome), cause_only(row.note), code=row.error_code)
    return Move(State.VERIFYING, "It runs again.")


def verifying(batch: Batch) -> dict[int, Result]:
    """Make sure that the new disk is in use with the image asked for, and that the machine runs if it ran before."""
    return {row.pk: _verify(row, batch.reading(row), batch) for row in batch.rows}


def _verify(row: Replacement, reading: Reading, batch: Batch) -> Result:
    if not reading.exists or reading.disk_id != row.new_disk_id:
        return hold_for_person(row, f"Its system disk is {reading.disk_id or 'gone'}; our call made {row.new_disk_id}.")
    wanted_status = "Running" if row.was_running else "Stopped"
    open_points = [
        words
        for words, good in (
            (f"the disk is {reading.disk_status}", reading.disk_status == "In_use"),
            (f"it runs {reading.image_id}", reading.image_id == row.image_id),
            ("it is locked", not reading.locks),
            (f"it is {reading.status.lower()}", reading.status == wanted_status),
        )
        if not good
    ]
    if open_points:
        return Wait(batch.pace(row), f"Not yet as asked: {', '.join(open_points)}.")
    note = "The new disk is in use with the image asked for."
    if onward(row, State.VERIFYING) is State.AFTER:
        return Move(State.AFTER, note)
    return succeeded(row, note)


def succeeded(row: Replacement, note: str, events: Sequence[AuditEvent] = ()) -> Move:
    """Return the good end of a machine: its new disk is in use, and where the policy has a step after, it serves."""
    outcome = Outcome.ADOPTED if row.outcome == Outcome.ADOPTED else Outcome.SUCCEEDED
    done = machine_event(
        row,
        "instance.succeeded",
        outcome=outcome,
        old_disk=row.target.seen["disk_id"],
        new_disk=row.new_disk_id,
        image=row.image_id,
        restored=row.restored,
    )
    return Move(State.DONE, f"{note} {_lost(row)}".strip(), {"outcome": outcome, "error_code": ""}, [*events, done])
