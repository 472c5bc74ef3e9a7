"""The engine under random faults, operators and time: after every step the promises hold.

A hypothesis state machine moves the passed-in clock, lets the engine take single steps, presses every button there is and puts
faults into the emulator, and checks after each what must never happen.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from fleet.changes.running import after_a_stop, controls, held_machines, retrying
from fleet.engine import loop
from fleet.engine.codes import INCONCLUSIVE
from fleet.engine.results import State
from fleet.guards.policy import Policy
from fleet.lib.clock import ManualClock
from fleet.lib.refused import Refused
from fleet.models import Calendar, Change, ChangeState, KillSwitch, Outcome, Retry, Transition
from tests.engine.runs import FINAL, IMAGE, history_is_whole, made, rows
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
MACHINES = 4
EXAMPLES = 12
ACTIONS = ["StopInstances", "StartInstances", "ReplaceSystemDisk", "DescribeInstances", "CreateSnapshot"]
FAULTS = ["drop", "commit_then_drop", "stuck", "boot_fails"]
CODES = ["Throttling.User", "InternalError", "IncorrectInstanceStatus", "IdempotentProcessing", "Forbidden.RAM"]
POLICIES = [
    Policy(max_in_flight=2, failures_allowed=1),
    Policy(max_in_flight=3, failures_allowed=2, canary=1, hold="person"),
    Policy(max_in_flight=2, failures_allowed=3, growth="fixed", wave_size=3, wave_failures=1, force_stop_minutes=5),
    Policy(max_in_flight=4, failures_allowed=0, growth="ramp", canary=1, hold="timed", hold_minutes=20),
]


class Rollout(RuleBasedStateMachine):
    """One change from its start on. The database is rolled back behind each run."""

    emulator: Emulator
    change: Change
    acts: Counter[str] = Counter()
    done: Counter[str] = Counter()

    @initialize(policy=st.sampled_from(POLICIES), snapshot=st.sampled_from([None, None, 2]))
    def begin(self, policy: Policy, snapshot: int | None) -> None:
        self.savepoint = transaction.savepoint()
        self.emulator.reset()
        self.clock = ManualClock(datetime.now(UTC))
        self.policy = policy
        self.window_open = True
        image = fleets.image_named(IMAGE)
        self.change = fleets.started(fleets.plain(MACHINES), image, self.clock, policy=policy, snapshot_days=snapshot)

    # The engine and time

    @rule(times=st.integers(3, 12))
    def work(self, times: int) -> None:
        for _ in range(times):
            before, began, shut = len(self.calls()), self.began(), self.shut()
            loop.look_after_all_changes(self.clock)
            if not loop.step(self.clock):
                wait = loop.next_due_in(self.clock)
                self.clock.advance(min(wait or 1.0, 120.0) + 0.001)
            if shut:
                assert len(self.calls()) == before, "a call left with the kill switch on, or outside of the window"
                assert self.began() == began, "a machine began with the kill switch on, or outside of the window"

    @rule(minutes=st.sampled_from([1, 12, 30]))
    def wait(self, minutes: int) -> None:
        self.clock.advance(60 * minutes)

    @rule(
        kind=st.sampled_from(FAULTS),
        action=st.sampled_from(ACTIONS),
        times=st.integers(1, 3),
        place=st.integers(0, MACHINES),
    )
    def fault(self, kind: str, action: str, times: int, place: int) -> None:
        self.put({"kind": kind, "action": action, "times": times}, place)

    @rule(code=st.sampled_from(CODES), action=st.sampled_from(ACTIONS), place=st.integers(0, MACHINES))
    def error(self, code: str, action: str, place: int) -> None:
        self.put({"kind": "error", "code": code, "action": action}, place)

    def put(self, fault: dict[str, Any], place: int) -> None:
        if place < MACHINES and not fault["action"].startswith("Describe"):
            fault["instance"] = rows(self.change)[place].instance.instance_id
        self.emulator.faults(fault)

    # People

    @rule(act=st.sampled_from(["pause", "resume", "promote", "resume"]))
    def press(self, act: str) -> None:
        self.do(getattr(controls, act))

    @rule(sure=st.integers(0, 3))
    def abort(self, sure: int) -> None:
        if sure == 0:  # else most runs would end before they came somewhere
            self.do(controls.cancel)

    @rule(act=st.sampled_from(["look_again", "give_up", "skip"]), place=st.integers(0, MACHINES - 1))
    def settle(self, act: str, place: int) -> None:
        self.do(getattr(held_machines, act), replacement_ids=[rows(self.change)[place].pk])

    @rule()
    def rest_again(self) -> None:
        if self.do(after_a_stop.ask_for_rest, reason="It was looked into."):
            self.change.refresh_from_db()
            fleets.approve(self.change, self.clock)
            self.do(after_a_stop.resume_rest)

    @rule(place=st.integers(0, MACHINES - 1))
    def retry(self, place: int) -> None:
        row = rows(self.change)[place]
        if self.do(retrying.ask_retry, replacement_id=row.pk, reason="It never arrived."):
            waiting = Retry.objects.get(replacement=row, agreed_at=None)
            self.do(retrying.agree_retry, by="reviewer", retry_id=waiting.pk)

    @rule()
    def kill_switch(self) -> None:
        pressed = KillSwitch.objects.filter(lifted_at=None).first()
        if pressed:
            pressed.lifted_by, pressed.lifted_at = fleets.person("admin"), self.clock.now()
            pressed.save()
        else:
            KillSwitch.objects.create(reason="Stop.", pressed_by=fleets.person("admin"), pressed_at=self.clock.now())

    @rule()
    def freeze(self) -> None:
        freeze, _ = Calendar.objects.get_or_create(name="Freeze", defaults={"open_by_default": True, "active": False})
        freeze.entries.all().delete()
        self.window_open = not self.window_open
        if not self.window_open:
            start = self.clock.now() - timedelta(minutes=1)
            freeze.entries.create(title="Frozen", starts_at=start, ends_at=start + timedelta(days=9))
        Calendar.objects.filter(pk=freeze.pk).update(active=not self.window_open)

    def do(self, act: Any, *, by: str = "operator", **given: Any) -> bool:
        """Press a button: it does something, or is refused with a sentence; nothing else comes of it."""
        Rollout.acts[act.__name__] += 1
        try:
            with transaction.atomic():
                act(actor=fleets.person(by), change_id=self.change.pk, now=self.clock.now(), **given)
        except Refused as refused:
            assert refused.sentence.endswith(".")
            return False
        Rollout.done[act.__name__] += 1
        return True

    # What must hold

    def calls(self) -> list[dict[str, Any]]:
        return self.emulator.journal(action="ReplaceSystemDisk")

    def began(self) -> int:
        return Transition.objects.filter(replacement__change=self.change, to_state=State.PREPARING).count()

    def shut(self) -> bool:
        return not self.window_open or KillSwitch.objects.filter(lifted_at=None).exists()

    @invariant()
    def at_most_so_many_in_flight(self) -> None:
        live = self.change.replacements.exclude(state__in=[State.QUEUED, *FINAL]).count()
        assert live <= self.policy.max_in_flight

    @invariant()
    def nothing_begins_beyond_a_budget(self) -> None:
        """At each beginning no more had failed than the policy allows, but for what was forgiven with a fresh approval."""
        self.change.refresh_from_db()
        if self.change.state == ChangeState.RUNNING and self.change.round == 1:
            failed = self.change.replacements.filter(state=State.FAILED)
            last = failed.order_by("-finished_at").values_list("finished_at", flat=True)
            if len(last) > self.policy.failures_allowed:
                stop = sorted(at for at in last if at)[self.policy.failures_allowed]
                began = Transition.objects.filter(
                    replacement__change=self.change, to_state=State.PREPARING, at__gt=stop
                )
                assert not began.exists()

    @invariant()
    def one_disk_for_each_that_was_replaced_and_none_for_others(self) -> None:
        disks: dict[str, list[str]] = {}
        for disk in made(self.emulator):
            disks.setdefault(disk["instance_id"], []).append(disk["client_token"])
        for row in rows(self.change):
            tokens = disks.get(row.instance.instance_id, [])
            assert len(tokens) <= row.epoch
            assert len(set(tokens)) == len(tokens), "one token, one disk"
            if row.state == State.DONE:
                assert len(tokens) == 1
            if row.outcome in (Outcome.FAILED_UNTOUCHED, Outcome.CANCELLED, Outcome.SKIPPED_DRIFT):
                assert tokens == [], row.note

    @invariant()
    def no_second_epoch_without_two_persons(self) -> None:
        for row in rows(self.change).filter(epoch__gt=1):
            agreed = Retry.objects.get(replacement=row, epoch=row.epoch)
            assert agreed.agreed_by_id not in (None, agreed.asked_by_id)

    @invariant()
    def what_waits_has_its_power_state(self) -> None:
        for row in rows(self.change).filter(state=State.QUEUED):
            assert (row.was_running, row.first_sent_at, row.returning) == (None, None, False)

    @invariant()
    def what_is_automatic_ends(self) -> None:
        for row in self.change.replacements.exclude(state__in=[State.QUEUED, State.HELD, *FINAL]):
            assert row.due_at is not None
            assert row.deadline_at is not None

    @invariant()
    def no_machine_changes_its_state_without_a_transition(self) -> None:
        assert history_is_whole(self.change)

    @invariant()
    def held_rows_have_evidence(self) -> None:
        for row in self.change.replacements.filter(state=State.HELD):
            assert row.note
            assert row.held_from or row.error_code == INCONCLUSIVE

    # The end

    def teardown(self) -> None:
        if hasattr(self, "change"):
            try:
                self.finish()
            finally:
                transaction.savepoint_rollback(self.savepoint)

    def finish(self) -> None:
        """With the faults gone and the gates open everything ends, by a person's word where the engine asks for one."""
        self.emulator.faults()
        KillSwitch.objects.update(lifted_at=self.clock.now(), lifted_by=fleets.person("admin"))
        Calendar.objects.update(active=False)
        self.window_open = True
        for _ in range(6):
            fleets.drive(self.clock, rarely=60)
            held = [row.pk for row in rows(self.change).filter(state=State.HELD)]
            if held:
                self.do(held_machines.look_again, replacement_ids=held)
                fleets.drive(self.clock, rarely=60)
                held = [row.pk for row in rows(self.change).filter(state=State.HELD)]
                self.do(held_machines.give_up, replacement_ids=held)
                fleets.drive(self.clock, rarely=60)
            for act in (controls.resume, controls.promote):
                self.do(act)
            self.rest_again()
            self.change.refresh_from_db()
            if self.change.state == ChangeState.FINISHED:
                break
        assert self.change.state == ChangeState.FINISHED, list(rows(self.change).values_list("state", "note"))
        self.one_disk_for_each_that_was_replaced_and_none_for_others()
        for outcome in self.change.replacements.values_list("outcome", flat=True):
            Rollout.done[outcome] += 1


def test_the_promises_hold_under_random_faults_and_acts(fleet: Emulator) -> None:
    Rollout.emulator = fleet
    run_state_machine_as_test(
        Rollout,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            deadline=None,
            # The same runs each time: what they come to is asserted below.
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    # The runs must have come somewhere: else the promises were kept by doing nothing.
    assert Rollout.done[Outcome.SUCCEEDED] > EXAMPLES
    assert len(+Rollout.done) >= 4, Rollout.done
