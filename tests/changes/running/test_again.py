"""Once more: retries of held machines by two persons, and the rest of a change that stopped by itself."""

from datetime import timedelta
from typing import Any

import pytest

from fleet.changes.running import acts, after_a_stop, held_machines, retrying
from fleet.engine.results import State
from fleet.lib.clock import ManualClock
from fleet.lib.refused import Refused
from fleet.models import AuditEvent, Change, ChangeState, Outcome, Replacement
from tests.engine.runs import made, operator, outcomes, power, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
Policy = fleets.Policy


@pytest.fixture
def lost(fleet: Emulator, clock: ManualClock) -> Replacement:
    """A machine whose call never arrived, held when the time for the same call was over."""
    fleet.faults({"action": "ReplaceSystemDisk", "kind": "drop", "times": 0})
    change = run(1, clock, policy=Policy(max_in_flight=1, failures_allowed=9))
    fleets.drive(clock, until=lambda: Replacement.objects.filter(first_sent_at__isnull=False).exists())
    fleet.faults()
    clock.advance(700)
    fleets.drive(clock)
    row = rows(change).get()
    assert (row.held_from, row.epoch) == (State.REPLACING, 1)
    return row


def ask(row: Replacement, clock: ManualClock, **given: object) -> object:
    asked = {"actor": operator(), "reason": "The call never arrived.", "replacement_id": row.pk} | given
    return retrying.ask_retry(change_id=row.change_id, now=clock.now(), **asked)  # type: ignore[arg-type]


def test_a_retry_takes_two_persons_and_a_new_token(fleet: Emulator, clock: ManualClock, lost: Replacement) -> None:
    change, reviewer = lost.change, fleets.person("reviewer")
    ask(lost, clock)
    (retry,) = retrying.open_retries(change)
    with pytest.raises(Refused, match="asked for already"):
        ask(lost, clock)
    with pytest.raises(Refused, match="role approver"):
        retrying.agree_retry(actor=operator(), change_id=change.pk, retry_id=retry.pk, now=clock.now())
    with pytest.raises(Refused, match="could still land until"):
        retrying.agree_retry(actor=reviewer, change_id=change.pk, retry_id=retry.pk, now=clock.now())

    clock.moment = retrying.safe_from(lost) + timedelta(seconds=1)
    row = retrying.agree_retry(actor=reviewer, change_id=change.pk, retry_id=retry.pk, now=clock.now())
    assert (row.state, row.epoch, row.token, row.first_sent_at, row.was_running) == (State.PREPARING, 2, "", None, True)
    with pytest.raises(Refused, match="no longer open"):
        retrying.agree_retry(actor=reviewer, change_id=change.pk, retry_id=retry.pk, now=clock.now())
    fleets.drive(clock)

    assert outcomes(change) == {Outcome.SUCCEEDED: 1}
    assert len(made(fleet)) == 1
    assert made(fleet)[0]["client_token"] == Replacement.objects.get(pk=lost.pk).token != lost.token
    assert power(lost.instance, fleet) == "Running"
    told = AuditEvent.objects.get(change=change, action="instance.retry_agreed")
    assert (told.actor, told.data["epoch"]) == (reviewer, 2)


def test_whoever_asked_does_not_agree(fleet: Emulator, clock: ManualClock, lost: Replacement) -> None:
    admin = fleets.person("admin")
    for role in ("operator", "approver"):
        admin.grants.create(role=role)
    ask(lost, clock, actor=admin)
    (retry,) = retrying.open_retries(lost.change)
    clock.advance(3600)
    with pytest.raises(Refused, match="another person agrees"):
        retrying.agree_retry(actor=admin, change_id=lost.change_id, retry_id=retry.pk, now=clock.now())
    retrying.withdraw_retry(actor=operator(), change_id=lost.change_id, retry_id=retry.pk, now=clock.now())
    assert not retrying.open_retries(lost.change)


def test_another_disk_is_not_retried(fleet: Emulator, clock: ManualClock, lost: Replacement) -> None:
    fleets.replace_behind_our_back(lost.instance, fleets.image_named("Ubuntu 22.04"))
    held_machines.look_again(actor=operator(), change_id=lost.change_id, replacement_ids=[lost.pk], now=clock.now())
    fleets.drive(clock)
    row = rows(lost.change).get()
    assert row.state == State.HELD
    assert "not provably ours" in row.note
    with pytest.raises(Refused, match="not the one that was approved"):
        ask(row, clock)


def test_a_lost_call_cannot_be_skipped_and_given_up_is_unknown(
    fleet: Emulator, clock: ManualClock, lost: Replacement
) -> None:
    with pytest.raises(Refused, match="moved on"):
        held_machines.skip(actor=operator(), change_id=lost.change_id, replacement_ids=[lost.pk], now=clock.now())
    held_machines.give_up(actor=operator(), change_id=lost.change_id, replacement_ids=[lost.pk], now=clock.now())
    assert outcomes(lost.change) == {Outcome.UNKNOWN: 1}
    assert Change.objects.get(pk=lost.change_id).state == ChangeState.FINISHED


def tripped(fleet: Emulator, clock: ManualClock) -> Change:
    machines = fleets.plain(4)
    fleet.patch_instance(machines[0].instance_id, unpaid_order=True)
    change = run(machines, clock, policy=Policy(max_in_flight=1, failures_allowed=0))
    fleets.drive(clock)
    change.refresh_from_db()
    assert (change.state, change.waits_for) == (ChangeState.TRIPPED, "1 machine failed; none may.")
    return change


def test_the_rest_runs_after_a_fresh_approval(fleet: Emulator, clock: ManualClock) -> None:
    change = tripped(fleet, clock)
    say: dict[str, Any] = {"actor": operator(), "change_id": change.pk, "now": clock.now()}
    with pytest.raises(Refused, match="Ask for it first"):
        after_a_stop.resume_rest(**say)
    with pytest.raises(Refused, match="Say what failed"):
        after_a_stop.ask_for_rest(**say, reason=" ")
    change = after_a_stop.ask_for_rest(**say, reason="An unpaid order; the others are paid.")
    assert acts.preview(change, "resume_rest", clock.now()).numbers["left"] == 3
    with pytest.raises(Refused):
        after_a_stop.resume_rest(**say)
    assert states(change) == {State.FAILED: 1, State.QUEUED: 3}

    fleets.approve(change, clock)
    after_a_stop.resume_rest(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)
    change.refresh_from_db()
    assert change.state == ChangeState.FINISHED
    assert outcomes(change) == {Outcome.FAILED_UNTOUCHED: 1, Outcome.SUCCEEDED: 3}


def test_a_second_stop_needs_another_approval(fleet: Emulator, clock: ManualClock) -> None:
    change = tripped(fleet, clock)
    second = rows(change)[1].instance
    fleet.patch_instance(second.instance_id, unpaid_order=True)
    after_a_stop.ask_for_rest(actor=operator(), change_id=change.pk, reason="The others are paid.", now=clock.now())
    change.refresh_from_db()
    fleets.approve(change, clock)
    after_a_stop.resume_rest(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)

    change.refresh_from_db()
    assert (change.state, change.waits_for) == (ChangeState.TRIPPED, "1 machine failed; none may.")
    with pytest.raises(Refused, match="Ask for it first"):
        after_a_stop.resume_rest(actor=operator(), change_id=change.pk, now=clock.now())


def test_nothing_held_may_be_left_when_the_rest_is_asked_for(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(3)
    fleet.faults({"kind": "boot_fails", "action": "StartInstances", "instance": machines[0].instance_id, "times": 0})
    change = run(machines, clock, policy=Policy(max_in_flight=1, failures_allowed=0))
    fleets.drive(clock, rarely=60)
    change.refresh_from_db()
    assert change.state == ChangeState.TRIPPED
    with pytest.raises(Refused, match="1 machine is held"):
        after_a_stop.ask_for_rest(actor=operator(), change_id=change.pk, reason="It boots by hand.", now=clock.now())
    offers = acts.available_acts(change, operator(), clock.now())
    assert not offers["ask_for_rest"].allowed
    assert {name for name, act in offers.items() if act.allowed} == {
        "cancel",
        "look_again",
        "give_up",
        "ask_retry",
        "skip",
        "withdraw_retry",
    }


def test_an_expired_approval_stops_what_has_not_begun(fleet: Emulator, clock: ManualClock) -> None:
    change = run(3, clock, policy=Policy(max_in_flight=1, canary=1, hold="person"))
    fleets.drive(clock)
    clock.advance(73 * 3600)
    fleets.drive(clock)
    change.refresh_from_db()
    assert change.state == ChangeState.TRIPPED
    assert change.waits_for == "The approval expired before all machines were done. The rest needs a fresh one."
