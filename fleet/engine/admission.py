"""Which queued machines of a change may begin, when the change stops by itself, and when it has ended.

These functions may be called at any time and any number of times: they look at what is so, and not at what has just happened.
All but `look_after_change` expect that the caller holds the lock on the change.
"""

import math
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q

from fleet.audit.trail import record_all, record_on
from fleet.engine.batch import machine_event
from fleet.engine.graph import FINAL
from fleet.engine.moves import move
from fleet.engine.results import Move, State, ended
from fleet.engine.route import BEFORE_THE_LINE
from fleet.engine.waves import RunCounts, advance, budgets, counts_of, wave_name
from fleet.guards.forecast import usual_seconds
from fleet.guards.policy import Policy
from fleet.guards.window import may_begin
from fleet.lib.text import count
from fleet.models import Change, ChangeState, MachineLock, Outcome, Replacement
from fleet.vault.passwords import destroy_password

# Machines that begin in one transaction; the next one follows as soon as the result of one of them is written.
MOST_AT_ONCE = 500
ADMISSION_FIELDS = ["state", "wave", "wave_opened_at", "hold_until", "holds_for_person", "waits_for"]


def admit(change: Change, now: datetime) -> int:
    """Let as many queued machines begin as waves, budgets and hours allow; return how many.

    Past one of its budgets the change is stopped instead. What keeps machines from beginning is left in `waits_for`.
    """
    counts = counts_of(change)
    before = [getattr(change, name) for name in ADMISSION_FIELDS]
    began = 0
    tripped = None
    if change.aborted_at:
        return 0
    if change.state == ChangeState.RUNNING and counts.whole.queued and (tripped := _why_it_stops(change, counts, now)):
        change.state, change.waits_for = ChangeState.TRIPPED, tripped
        change.hold_until, change.holds_for_person = None, False
    elif change.state == ChangeState.RUNNING:
        change.wave_opened_at = change.wave_opened_at or now
        change.waits_for = advance(change, counts, now)
        began, why = _begin(change, counts, now)
        change.waits_for = (why or change.waits_for)[:300]
    if before != [getattr(change, name) for name in ADMISSION_FIELDS]:
        change.save(update_fields=ADMISSION_FIELDS)
    if tripped:
        _record_trip(change, counts)
    return began


def _why_it_stops(change: Change, counts: RunCounts, now: datetime) -> str:
    broken = next((budget for budget in budgets(change, counts) if budget.broken), None)
    if broken:
        return broken.sentence
    if change.approved_until is None or change.approved_until <= now:
        return "The approval expired before all machines were done. The rest needs a fresh one."
    return ""


def _record_trip(change: Change, counts: RunCounts) -> None:
    record_on(
        change,
        "change.tripped",
        why=change.waits_for,
        failed=counts.whole.failed,
        allowed=Policy.of(change.policy).failures_allowed,
        not_started=counts.whole.queued,
    )


def _begin(change: Change, counts: RunCounts, now: datetime) -> tuple[int, str]:
    """Let machines of the open wave begin; return how many, and why not more where something other than the policy keeps them."""
    policy = Policy.of(change.policy)
    free = policy.max_in_flight - counts.whole.in_flight
    queued = counts.wave(change.wave).queued
    if not queued:
        return 0, ""
    if counts.whole.inconclusive:
        machines = count(counts.whole.inconclusive, "machine is", "machines are")
        return 0, f"{machines} held with an inconclusive step. A person says whether it serves; then it goes on."
    if free <= 0:
        held = counts.whole.held
        if held < counts.whole.in_flight:
            return 0, ""
        who, it = count(held, "held machine takes", "held machines take"), "it" if held == 1 else "them"
        return 0, f"{who} up every place in flight. Settle {it}, and the rest goes on."
    if why := may_begin(change, now):
        return 0, why
    locked = MachineLock.objects.in_force(now).filter(instance=OuterRef("instance"))
    waiting = change.replacements.filter(~Exists(locked), state=State.QUEUED, wave__lte=change.wave)
    rows = list(
        waiting.select_for_update(of=("self",), no_key=True).order_by("target__position")[: min(free, MOST_AT_ONCE)]
    )
    if not rows:
        return 0, f"{count(queued, 'machine')} of {wave_name(policy, change.wave)} are locked by somebody of yours."
    rows = _whose_calls_the_quota_lets_go(change, policy, rows)
    move([(row, Move(State.PREPARING, "It is looked at.")) for row in rows], now)
    return len(rows), ""


def _whose_calls_the_quota_lets_go(change: Change, policy: Policy, rows: list[Replacement]) -> list[Replacement]:
    """Return those of `rows` whose calls the quota is likely to let go by the time that they have stopped.

    The others would stand still for nothing. In each place as many machines may be on their way to the call as the quota
    serves in the minutes until they are ready for it, and in one minute more.
    """
    seconds = usual_seconds(sorted({row.account_id for row in rows}))
    asked = {State.BEFORE: policy.before is not None, State.SNAPSHOTTING: change.snapshot_days is not None}
    until_the_call = sum(
        seconds[state] for state in (State.BEFORE, State.STOPPING, State.SNAPSHOTTING) if asked.get(state, True)
    )
    minutes = 1 + math.ceil(until_the_call / 60)
    before_the_call = Q(state__in=BEFORE_THE_LINE, first_sent_at=None)
    places = change.replacements.order_by().values_list("account_id", "region", "account__replace_quota")
    room = {
        (account, region): quota * minutes - waiting
        for account, region, quota, waiting in places.annotate(waiting=Count("pk", filter=before_the_call))
    }
    chosen = []
    for row in rows:
        place = (row.account_id, row.region)
        if room[place] > 0:
            room[place] -= 1
            chosen.append(row)
    return chosen


def _end_stragglers(change: Change, now: datetime) -> None:
    """End the machines that came back to the queue after a person ended the change: their worker did not know of it yet."""
    queued = change.replacements.select_for_update(of=("self",), no_key=True).filter(state=State.QUEUED)
    rows = list(queued.select_related("instance"))
    note = "Ended by a person before anything was sent; the old system is intact."
    move([(row, ended(Outcome.CANCELLED, note)) for row in rows], now)
    record_all([machine_event(row, "instance.cancelled", why=note) for row in rows])


def close_if_ended(change: Change, now: datetime) -> bool:
    """Finish a change of which no machine is queued or in flight any more; destroy its password."""
    if change.aborted_at:
        _end_stragglers(change, now)
    if change.replacements.exclude(state__in=FINAL).exists():
        return False
    result = counts_of(change).whole
    change.state, change.finished_at = ChangeState.FINISHED, now
    change.waits_for, change.hold_until, change.holds_for_person = "", None, False
    change.save(update_fields=[*ADMISSION_FIELDS, "finished_at"])
    change.targets.filter(open=True).update(open=False)
    destroy_password(change.secret, change=change, now=now)
    record_on(
        change,
        "change.finished",
        done=result.done,
        failed=result.failed,
        skipped=result.skipped,
        cancelled=result.cancelled,
    )
    return True


@transaction.atomic
def look_after_change(change_id: int, now: datetime) -> None:
    """Look after one change: let machines begin, stop it past its failures, finish it when all have ended."""
    change = Change.objects.select_for_update(of=("self",)).select_related("secret").filter(pk=change_id).first()
    if change is None or not change.is_under_way:
        return
    if not close_if_ended(change, now):
        admit(change, now)
