"""Random walks through everything that people can do: nothing ever runs that was not approved, in this form, by enough others.

The walk keeps its own books, of what each approval was about and of who had a hand in what, and trusts no column of ours.
"""

from collections import Counter
from datetime import timedelta
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

from fleet.administration import kill_switch
from fleet.changes.drafting import drafts
from fleet.changes.review import deciding, removing
from fleet.changes.running import after_a_stop, controls, scheduling
from fleet.guards import approvals, gates
from fleet.lib.refused import Refused
from fleet.models import (
    Calendar,
    Change,
    ChangeState,
    Grant,
    KillSwitch,
    QuorumRule,
    Replacement,
    ReplacementState,
    Role,
    Target,
)
from fleet.models.changes import ENDED
from tests.changes.review import forms
from tests.changes.review.books import Signed, chosen, disks, form
from tests.support import people

pytestmark = pytest.mark.django_db
ACTS = (
    "edit", "withdraw", "submit_and_check", "submit_and_check", "approve", "approve_past_the_use_case", "ask_for_changes",
    "say", "remove_a_machine", "remove_a_machine", "freeze_or_thaw", "press_or_lift", "time_passes", "plan_the_start",
    "start", "two_agree_and_it_goes", "two_agree_and_it_goes", "forge_the_state", "forge_the_plan",
    "one_machine_ends_and_it_trips", "ask_for_the_rest", "resume_the_rest",
)  # fmt: skip
WHO = st.sampled_from(["author", "reviewer", "second", "boss"])


class Walk(RuleBasedStateMachine):
    """One change, four people who may all edit and approve, one of them a superuser, and three machines."""

    reached: Counter[str] = Counter()

    @initialize(ahead=st.sampled_from(["review", "review", "approved", "running", "rest", "rest agreed"]))
    def begin(self, ahead: str) -> None:
        self.world = transaction.atomic()
        self.world.__enter__()
        self.here = forms.world(3)
        self.people = {"author": self.here.author, "reviewer": self.here.reviewer, "second": self.here.second}
        self.people["boss"] = people.person("boss")
        self.people["boss"].is_superuser = True
        self.people["boss"].save()
        Grant.objects.all().delete()
        for person in self.people.values():
            Grant.objects.bulk_create(
                Grant(user=person, role=role) for role in (Role.OPERATOR, Role.APPROVER, Role.ADMIN)
            )
        QuorumRule.objects.create(name="Three machines", approvals=2, machines_at_least=3)
        self.freeze = Calendar.objects.create(name="Freeze", open_by_default=True, active=False)
        self.freeze.entries.create(
            title="x", starts_at=forms.NOON - timedelta(days=9), ends_at=forms.NOON + timedelta(days=900)
        )
        self.another()
        if ahead != "review":
            self.approve("reviewer")
            self.approve("boss")
        if ahead not in ("review", "approved"):
            self.start("second")
            self.nothing_runs_that_was_not_approved()
        if ahead in ("rest", "rest agreed"):
            self.one_machine_ends_and_it_trips()
            self.ask_for_the_rest("author")
        if ahead == "rest agreed":
            self.approve("second")
            self.approve("boss")

    def another(self) -> None:
        """Ask for another change, with books of its own."""
        self.change = forms.asked(self.here)
        self.hands = {"author"}
        self.signed: list[Signed] = []
        self.needed = 2
        self.ran = False

    def teardown(self) -> None:
        if hasattr(self, "world"):
            transaction.set_rollback(True)
            self.world.__exit__(None, None, None)

    # What people do. A refusal is an answer like any other; only what happened goes into the books.

    def did(self, act: Any, who: str, **given: Any) -> bool:
        try:
            act(actor=self.people[who], change_id=self.change.pk, now=self.here.now, **given)
        except Refused:
            return False
        finally:
            self.change = Change.objects.get(pk=self.change.pk)
        return True

    @rule(act=st.sampled_from(ACTS), who=WHO, number=st.integers(0, 2))
    def somebody_does_something(self, act: str, who: str, number: int) -> None:
        getattr(self, act)(who, number)

    def edit(self, who: str, number: int) -> None:
        if self.did(drafts.edit_draft, who, settings=chosen(self.change, (None, 40, 60)[number])):
            self.hands.add(who)

    def withdraw(self, who: str, number: int = 0) -> None:
        if self.did(deciding.withdraw, who):
            self.hands.add(who)

    def submit_and_check(self, who: str, number: int) -> None:
        if self.change.state != ChangeState.DRAFT:
            return
        forms.checked(self.here, self.change)
        self.change = Change.objects.get(pk=self.change.pk)
        self.needed = 2 if self.change.targets.count() >= 3 else 1

    def approve(self, who: str, number: int = 1) -> None:
        stale = number == 0
        before = self.change
        digest = "0" * 64 if stale else before.spec_digest
        machines = before.targets.filter(open=True)
        if self.did(deciding.approve, who, digest=digest, confirmed=str(machines.count())):
            assert not stale
            until = self.here.now + timedelta(hours=72)
            self.signed.append(Signed(who, before.revision, before.round, form(before), disks(machines), until))

    def approve_past_the_use_case(self, who: str, number: int = 0) -> None:
        try:
            with transaction.atomic():
                forms.insert(self.here, self.change, self.people[who])
        except Exception:
            return
        until = self.here.now + timedelta(hours=72)
        machines = self.change.targets.all()
        self.signed.append(
            Signed(who, self.change.revision, self.change.round, form(self.change), disks(machines), until)
        )

    def ask_for_changes(self, who: str, number: int = 0) -> None:
        self.did(deciding.return_to_draft, who, reason="Fewer.")

    def say(self, who: str, number: int = 0) -> None:
        self.did(deciding.comment, who, text="Hm.")

    def remove_a_machine(self, who: str, number: int = 0) -> None:
        first = self.change.targets.order_by("position").values_list("pk", flat=True)[:1]
        if self.did(removing.remove_machines, who, target_ids=list(first), reason="Logs."):
            self.hands.add(who)

    def freeze_or_thaw(self, who: str, number: int) -> None:
        self.freeze.active = not self.freeze.active
        self.freeze.save()

    def press_or_lift(self, who: str, number: int = 0) -> None:
        pressed = KillSwitch.objects.filter(lifted_at=None).first()
        actor, now = self.people[who], self.here.now
        if pressed:
            kill_switch.lift(actor=actor, press_id=pressed.pk, reason="x", now=now)
        else:
            kill_switch.press(actor=actor, account_id=None, region="", reason="x", now=now)

    def time_passes(self, who: str, number: int) -> None:
        self.here.clock.advance((1, 20, 73)[number] * 3600)
        deciding.expire_approvals(self.here.now)
        scheduling.start_due(self.here.now)
        self.change = Change.objects.get(pk=self.change.pk)
        if self.change.state in ENDED:
            self.another()

    def plan_the_start(self, who: str, number: int) -> None:
        self.did(scheduling.schedule, who, at=self.here.now + timedelta(hours=1 + number))

    def start(self, who: str, number: int = 0) -> None:
        self.did(controls.start, who)

    def two_agree_and_it_goes(self, who: str, number: int) -> None:
        for one in (who, [each for each in self.people if each != who][number]):
            self.approve(one)
        self.start(who)
        self.resume_the_rest(who)

    def forge_the_state(self, who: str, number: int) -> None:
        state = (ChangeState.RUNNING, ChangeState.APPROVED, ChangeState.PAUSED)[number]
        try:
            with transaction.atomic():
                stamps = {"started_at": self.here.now, "wave_opened_at": self.here.now}
                Change.objects.filter(pk=self.change.pk).update(state=state, **stamps)
        except Exception:
            return
        self.change = Change.objects.get(pk=self.change.pk)

    def forge_the_plan(self, who: str, number: int) -> None:
        try:
            with transaction.atomic():
                Change.objects.filter(pk=self.change.pk).exclude(state=ChangeState.DRAFT).update(disk_size=500)
        except Exception:
            return
        assert self.change.state == ChangeState.DRAFT

    def one_machine_ends_and_it_trips(self, who: str = "", number: int = 0) -> None:
        if self.change.state != ChangeState.RUNNING:
            return
        rows = list(self.change.replacements.exclude(state=ReplacementState.FAILED).order_by("pk"))
        for row in rows[:1]:
            Replacement.objects.filter(pk=row.pk).update(state=ReplacementState.FAILED, outcome="failed_untouched")
            Target.objects.filter(pk=row.target_id).update(open=False)
        Replacement.objects.filter(pk__in=[row.pk for row in rows[1:]]).update(state=ReplacementState.QUEUED)
        Change.objects.filter(pk=self.change.pk).update(state=ChangeState.TRIPPED)
        self.change = Change.objects.get(pk=self.change.pk)
        self.ran = False

    def ask_for_the_rest(self, who: str, number: int = 0) -> None:
        if self.did(after_a_stop.ask_for_rest, who, reason="A typo."):
            self.hands.add(who)

    def resume_the_rest(self, who: str, number: int = 0) -> None:
        self.did(after_a_stop.resume_rest, who)

    # What always holds.

    @invariant()
    def nothing_runs_that_was_not_approved(self) -> None:
        if not hasattr(self, "change") or self.change.state != ChangeState.RUNNING or self.ran:
            return
        self.ran = True
        self.reached["running" if self.change.round == 1 else "the rest"] += 1
        left = disks(self.change.targets.filter(open=True))
        assert left
        agreed = {
            one.who
            for one in self.signed
            if one.who not in self.hands
            and (one.revision, one.round) == (self.change.revision, self.change.round)
            and one.form == form(self.change)
            and left <= one.disks
            and one.until > self.here.now
        }
        assert len(agreed) >= self.needed, (agreed, self.hands, self.needed, self.signed)

    @invariant()
    def no_gate_is_open_that_should_be_closed(self) -> None:
        if not hasattr(self, "change") or self.change.started_at is None:
            return
        leaves = approvals.approved_leaves(self.change, self.here.now)
        for row in self.change.replacements.select_related("instance", "target", "account"):
            if not gates.closed(row, self.change, row.account, leaves, self.here.now):
                self.reached["an open gate"] += 1
                assert not self.freeze.active
                assert not KillSwitch.objects.filter(lifted_at=None).exists()
                agreed = {
                    one.who
                    for one in self.signed
                    if one.who not in self.hands
                    and (one.round, one.form) == (self.change.round, form(self.change))
                    and (row.instance_id, row.target.seen["disk_id"]) in one.disks
                    and one.until > self.here.now
                }
                assert len(agreed) >= self.needed


def test_nothing_runs_unapproved_whatever_people_do(db: None) -> None:
    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # The walks came to what they are about.
    assert all(Walk.reached[name] for name in ("running", "the rest", "an open gate")), Walk.reached
