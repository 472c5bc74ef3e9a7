"""The irreversible call itself: gates, quota, intent, call."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from django.db import transaction

from fleet.audit.trail import record_all
from fleet.cloud import CloudError, ReplaceAnswer
from fleet.cloud.transport import REPLACE_TIMEOUT
from fleet.engine.batch import Batch, later, told
from fleet.engine.gates import approved_leaves, closed
from fleet.engine.passwords import open_password
from fleet.engine.results import Move, Result, State, Wait, held, put_back
from fleet.inventory.quota import take
from fleet.lib.canonical import digest
from fleet.lib.secret import SealBroken, Secret
from fleet.models import Account, Change, Login, Outcome, Replacement

ACTION = "ReplaceSystemDisk"
READING_LASTS = 10.0  # seconds: the call goes out on a reading no older than this
THREADS = 8
MOST_AT_ONCE = 40  # as many as the threads send while the reading is fresh
HELD_CODES = frozenset(
    {"IdempotentParameterMismatch", "IdempotenceParamNotMatch", "InvalidIdempotenceParameter.Mismatch"}
)
PASSING_CODES = frozenset({"DiskCreatingSnapshot", "IncorrectDiskStatus.CreatingSnapshot"})


def token_of(row: Replacement) -> str:
    """Return the ClientToken, made from the replacement and its epoch: 40 ASCII characters of the 64 allowed."""
    return digest(["ReplaceSystemDisk", row.pk, row.target_id, row.epoch])[:40]


def send(batch: Batch, rows: list[Replacement]) -> dict[int, Result]:
    """Send the call for each of these machines that every gate lets through; say what came of each."""
    results: dict[int, Result] = {}
    cleared: list[Replacement] = []
    for change_rows in _by_change(rows):
        open_rows, stopped = _through_the_gates(batch, change_rows)
        results |= stopped
        cleared += open_rows
    results |= {row.pk: Wait(0, "It waits for its turn.") for row in cleared[MOST_AT_ONCE:]}
    cleared = cleared[:MOST_AT_ONCE]
    granted = take(
        batch.account, batch.region, ACTION, wanted=len(cleared), limit=batch.account.replace_quota, now=batch.now
    )
    for row in cleared[granted:]:
        results[row.pk] = Wait(
            60 - batch.now.second + 1, "The quota of this minute is used up; it goes on in the next one."
        )
    first_time = {row.pk for row in cleared if row.first_sent_at is None}
    intended = _commit_intent(cleared[:granted], batch.now)
    answers = _call_all(batch, intended)
    return results | {
        row.pk: _judge(row, answers[row.pk], batch.now, first_time=row.pk in first_time) for row in intended
    }


def _by_change(rows: list[Replacement]) -> Iterable[list[Replacement]]:
    grouped: dict[int, list[Replacement]] = {}
    for row in rows:
        grouped.setdefault(row.change_id, []).append(row)
    return grouped.values()


def _through_the_gates(batch: Batch, rows: list[Replacement]) -> tuple[list[Replacement], dict[int, Result]]:
    # Read now, and not with the claim: a gate may have closed in between.
    change = Change.objects.get(pk=rows[0].change_id)
    account = Account.objects.get(pk=batch.account.pk)
    leaves = approved_leaves(change, batch.now)
    stopped: dict[int, Result] = {}
    for row in rows:
        if why := closed(row, change, account, leaves, batch.now):
            stopped[row.pk] = held(row, f"Not replaced: {why} The old system is intact, and the machine is stopped.")
    return [row for row in rows if row.pk not in stopped], stopped


@transaction.atomic
def _commit_intent(rows: list[Replacement], now: datetime) -> list[Replacement]:
    """Put token and time of the first sending on disk before anything leaves. A row that was overtaken drops out."""
    intended, events = [], []
    for row in rows:
        first = row.first_sent_at is None
        row.token = row.token or token_of(row)
        row.first_sent_at = row.first_sent_at or now
        kept = Replacement.objects.filter(pk=row.pk, lease=row.lease, state=State.REPLACING).update(
            token=row.token, first_sent_at=row.first_sent_at
        )
        if kept:
            intended.append(row)
            if first:
                events.append(
                    told(row, "instance.intended", old_disk=row.target.seen["disk_id"], client_token=row.token)
                )
    record_all(events)
    return intended


def _call_all(batch: Batch, rows: list[Replacement]) -> dict[int, ReplaceAnswer | CloudError | str]:
    """Call for each row from a bounded pool of threads. Threads touch the cloud alone, never the database."""
    answers: dict[int, ReplaceAnswer | CloudError | str] = {}
    passwords: dict[int, Secret | None] = {}
    for row in rows:
        try:
            if row.change_id not in passwords:
                passwords[row.change_id] = open_password(row.change)
        except SealBroken as broken:
            answers[row.pk] = str(broken)
    ready = [row for row in rows if row.pk not in answers]
    read_at = time.monotonic() - max(0.0, (batch.clock.now() - batch.now).total_seconds())

    def call(row: Replacement) -> ReplaceAnswer | CloudError | str:
        if time.monotonic() - read_at > READING_LASTS or batch.lease_left() < REPLACE_TIMEOUT + 5:
            return ""
        change = row.change
        try:
            return batch.client.replace_system_disk(
                instance_id=row.instance.instance_id,
                image_id=change.image_id,
                size=change.disk_size,
                key_pair=change.key_pair if change.login == Login.KEY_PAIR else "",
                password=passwords[row.change_id],
                password_inherit=change.login == Login.IMAGE,
                security_enhancement=change.security_enhancement or None,
                client_token=row.token,
            )
        except CloudError as error:
            return error

    with ThreadPoolExecutor(max_workers=min(THREADS, max(1, len(ready)))) as pool:
        return answers | dict(zip([row.pk for row in ready], pool.map(call, ready), strict=True))


def _judge(row: Replacement, answer: ReplaceAnswer | CloudError | str, now: datetime, *, first_time: bool) -> Result:
    if isinstance(answer, str):
        # Nothing left this process: an intent that was made just now is taken back.
        unsent = {"first_sent_at": None} if first_time else {}
        if answer:
            return held(row, f"Not replaced: {answer}. Set the password anew in a copy of the change.")
        return Wait(0, "The reading was too old to act on; it is read again.", unsent)
    if isinstance(answer, ReplaceAnswer):
        done = told(
            row,
            "instance.disk_replaced",
            request_id=answer.request_id,
            old_disk=row.target.seen["disk_id"],
            new_disk=answer.disk_id,
            image=row.change.image_id,
            size=row.change.disk_size,
        )
        fields = {"new_disk_id": answer.disk_id, "request_id": answer.request_id, "error_code": ""}
        return Wait(1, "The new disk is being made.", fields, [done])
    return _judge_error(row, answer, now, first_time=first_time)


def _judge_error(row: Replacement, error: CloudError, now: datetime, *, first_time: bool) -> Result:
    said = {"code": error.code, "http_status": error.http_status}
    if again := later(error, now):
        lost = told(row, "instance.answer_lost", request_id=error.request_id, **said)
        return Wait(again.seconds, again.note, {"error_code": error.code}, [lost])
    refused = told(row, "instance.call_refused", request_id=error.request_id, **said)
    if error.code in HELD_CODES:
        return held(row, "The cloud knows this token with other parameters.", code=error.code, events=[refused])
    if not first_time:
        # An earlier call of this token may still land: a refusal now is no proof that nothing was done.
        why = f"The answer to an earlier call was lost, and now the cloud refuses: {error.message}"
        return held(row, why, code=error.code, events=[refused])
    # A definite refusal of the only call: nothing was done, and the intent is taken back.
    undone = {"first_sent_at": None, "error_code": error.code}
    if error.code in PASSING_CODES:
        return Wait(15, "A snapshot of its disk is being made.", undone, [refused])
    if error.code == "IncorrectInstanceStatus":
        return Move(State.STOPPING, "It was not stopped any more.", undone | {"asked_at": None}, [refused])
    back = put_back(row, Outcome.FAILED_UNTOUCHED, f"The cloud refused: {error.message}", code=error.code)
    return Move(back.to, back.note, undone | back.fields, [refused])
