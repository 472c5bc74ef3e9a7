"""The irreversible call itself: gates, quota, the committed intent, the call. What its answer means is said in `answers`."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.db import transaction

from fleet.audit.trail import record_all
from fleet.cloud import CloudError
from fleet.cloud.transport import REPLACE_TIMEOUT
from fleet.engine.batch import Batch, machine_event
from fleet.engine.codes import GATE_CLOSED
from fleet.engine.handlers.answers import NotSent, Reply, result_of_call
from fleet.engine.handlers.returning import send_back_fields
from fleet.engine.protocol import may_leave
from fleet.engine.results import Result, State, Wait, end_and_start_again, hold_for_person
from fleet.guards.approvals import approved_leaves
from fleet.guards.gates import closed, closed_for_now
from fleet.guards.kill_switch import pressed
from fleet.guards.window import may_begin
from fleet.inventory.quota import take, used
from fleet.lib.canonical import digest
from fleet.lib.secret import SealBroken, Secret
from fleet.models import Account, Change, ChangeState, Login, Outcome, Replacement
from fleet.vault.passwords import open_password

ACTION = "ReplaceSystemDisk"
THREADS = 8


def token_of(row: Replacement) -> str:
    """Return the ClientToken, made from the replacement and its epoch: 40 ASCII characters of the 64 allowed."""
    return digest(["ReplaceSystemDisk", row.pk, row.target_id, row.epoch])[:40]


def send(batch: Batch, rows: list[Replacement]) -> dict[int, Result]:
    """Send the call for each of these machines that every gate lets through; return what came of it for each."""
    results: dict[int, Result] = {}
    cleared: list[Replacement] = []
    for change_rows in _by_change(rows):
        let_through, not_let_through = _through_the_gates(batch, change_rows)
        results |= not_let_through
        cleared += let_through
    now = batch.clock.now()
    granted = take(batch.account, batch.region, ACTION, wanted=len(cleared), limit=batch.account.replace_quota, now=now)
    for row in cleared[granted:]:
        opens = next_minute(now) - now
        results[row.pk] = Wait(
            opens.total_seconds(), "The quota of this minute is used up; it goes on in the next one."
        )
    first_time = {row.pk for row in cleared if row.first_sent_at is None}
    intended = _commit_intent(cleared[:granted], batch.now)
    replies = _call_all(batch, intended)
    for row in intended:
        results[row.pk] = result_of_call(row, replies[row.pk], batch, first_time=row.pk in first_time)
    return results


def next_minute(now: datetime) -> datetime:
    """Return the beginning of the next minute of the quota, and a moment more for clocks that are slow."""
    return now.replace(second=0, microsecond=0) + timedelta(seconds=60.2)


def next_minute_if_full(account_id: int, region: str, now: datetime) -> datetime | None:
    """Return when calls may leave again where the quota of this minute is used up, else None."""
    account = Account.objects.get(pk=account_id)
    return next_minute(now) if used(account, region, ACTION, now=now) >= account.replace_quota else None


def _by_change(rows: list[Replacement]) -> Iterable[list[Replacement]]:
    grouped: dict[int, list[Replacement]] = {}
    for row in rows:
        grouped.setdefault(row.change_id, []).append(row)
    return grouped.values()


def _through_the_gates(batch: Batch, rows: list[Replacement]) -> tuple[list[Replacement], dict[int, Result]]:
    # Read now and not with the claim: a gate may have closed in between.
    now = batch.clock.now()
    change = Change.objects.get(pk=rows[0].change_id)
    account = Account.objects.get(pk=batch.account.pk)
    leaves = approved_leaves(change, now)
    not_let_through: dict[int, Result] = {}
    for row in rows:
        reading = batch.reading(row)
        # As the cloud shows them now, and not as the mirror had them when the row was claimed.
        row.instance.tags = dict(reading.tags)
        if reading.locks and row.first_sent_at is None:
            note = f"The provider has locked it ({', '.join(reading.locks)}). Its disk was not touched."
            code = "InstanceLockedForSecurity" if "security" in reading.locks else ""
            not_let_through[row.pk] = end_and_start_again(row, Outcome.FAILED_UNTOUCHED, note, code=code)
        elif why := closed(row, change, account, leaves, now):
            not_let_through[row.pk] = _at_a_closed_gate(row, change, why, now)
        elif change.aborted_at and row.first_sent_at is None:
            not_let_through[row.pk] = _send_back(row, "The change was ended.", batch.now)
        elif change.state == ChangeState.PAUSED and row.first_sent_at is None:
            not_let_through[row.pk] = _send_back(row, "The change is paused.", batch.now)
    return [row for row in rows if row.pk not in not_let_through], not_let_through


def _at_a_closed_gate(row: Replacement, change: Change, why: str, now: datetime) -> Result:
    """Return what becomes of a machine that a gate does not let through.

    Where the gate opens again by itself, or the whole change waits, an untouched machine goes back to the queue. Anything else
    goes to a person.
    """
    if row.first_sent_at is not None:
        note = f"Not sent again: {why} The answer to the earlier call was lost; its disk was still the old one."
        return hold_for_person(row, note, code=GATE_CLOSED)
    if closed_for_now(row, change, now) or may_begin(change, now):
        return _send_back(row, why, now)
    note = f"Not replaced: {why} The old system is intact, and the machine is stopped."
    return hold_for_person(row, note, code=GATE_CLOSED)


def _send_back(row: Replacement, why: str, now: datetime) -> Wait:
    return Wait(0, f"Not replaced now: {why} It goes back to what it was.", send_back_fields(now))


@transaction.atomic
def _commit_intent(rows: list[Replacement], now: datetime) -> list[Replacement]:
    """Commit token and time of the first sending before anything leaves; return the rows for which that was done.

    A row that was overtaken, or called back, drops out.
    """
    intended, events = [], []
    for row in rows:
        first = row.first_sent_at is None
        row.token = row.token or token_of(row)
        row.first_sent_at = row.first_sent_at or now
        ours = Replacement.objects.filter(pk=row.pk, lease=row.lease, state=State.REPLACING, returning=False)
        if ours.update(token=row.token, first_sent_at=row.first_sent_at):
            intended.append(row)
            if first:
                events.append(
                    machine_event(row, "instance.intended", old_disk=row.target.seen["disk_id"], client_token=row.token)
                )
    record_all(events)
    return intended


def _call_all(batch: Batch, rows: list[Replacement]) -> dict[int, Reply]:
    """Make the calls in a few threads; return the reply for each row. The threads use the cloud alone, never the database."""
    replies: dict[int, Reply] = {}
    passwords: dict[int, Secret | None] = {}
    for row in rows:
        try:
            if row.change_id not in passwords:
                passwords[row.change_id] = open_password(row.change)
        except SealBroken as broken:
            replies[row.pk] = NotSent(str(broken))
    ready = [row for row in rows if row.pk not in replies]
    oldest = min((batch.reading(row).read_at for row in ready), default=batch.now)
    read_at = time.monotonic() - max(0.0, (batch.clock.now() - oldest).total_seconds())

    def call(row: Replacement) -> Reply:
        age = time.monotonic() - read_at
        if not may_leave(reading_age=age, lease_left=batch.lease_left(), call_timeout=REPLACE_TIMEOUT):
            return NotSent()
        change = row.change
        try:
            return batch.client.replace_system_disk(
                instance_id=row.instance.instance_id,
                image_id=row.image_id,
                size=change.disk_size,
                key_pair=change.key_pair if change.login == Login.KEY_PAIR else "",
                password=passwords[row.change_id],
                password_inherit=change.login == Login.IMAGE,
                security_enhancement=change.security_enhancement or None,
                client_token=row.token,
            )
        except CloudError as error:
            return error

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        for start in range(0, len(ready), THREADS):
            some = ready[start : start + THREADS]
            # Asked again between calls: the kill switch stops what has not left yet.
            stopped = pressed(batch.account.pk, batch.region)
            found = [NotSent()] * len(some) if stopped else pool.map(call, some)
            replies |= dict(zip([row.pk for row in some], found, strict=True))
    return replies
