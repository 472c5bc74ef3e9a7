"""The engine's handlers do what the protocol decided, and what the model takes them to do."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, cast

import pytest

from fleet.cloud import CloudError, EcsClient, ReplaceAnswer
from fleet.cloud.errors import retryability_of
from fleet.engine import loop
from fleet.engine.batch import Batch
from fleet.engine.handlers.answers import NotSent, Reply, result_of_call
from fleet.engine.handlers.replacing import record_of, result_of_reading, seen_of
from fleet.engine.protocol import RESEND_WINDOW, After, Answer, NextStep, decide, judge
from fleet.engine.results import Move, Result, State, Wait
from fleet.inventory.reading import Reading
from fleet.lib.clock import ManualClock
from fleet.models import Account, AuditEvent, Change, Instance, Outcome, Replacement, Target
from tests.engine.protocol.model import AFTER, HELD, LEADS, REPLACING, STOPPING, UNTOUCHED
from tests.support import fleets
from tests.support.emulator import Emulator

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
MOVES = {HELD: State.HELD, STOPPING: State.STOPPING, AFTER: State.RESTORING, UNTOUCHED: State.CANCELLED}


def row_of(**fields: Any) -> Replacement:
    account = Account(pk=1)
    machine = Instance(pk=1, instance_id="i-1", name="web-1", account=account)
    change = Change(pk=1, image_id="m-new", disk_size=60)
    target = Target(pk=1, instance=machine, change=change, seen={"disk_id": "d-old", "size": 40})
    given = {
        "state": State.REPLACING,
        "entered_at": NOW,
        "image_id": "m-new",
        "was_running": False,
        "token": "t",
    } | fields
    return Replacement(pk=1, target=target, change=change, account=account, instance=machine, **given)


def reading_of(**fields: Any) -> Reading:
    shown: dict[str, Any] = {
        "status": "Stopped",
        "disk_id": "d-old",
        "disk_size": 40,
        "disk_status": "In_use",
        "image_id": "m-new",
    }
    return Reading(instance=1, read_at=NOW, **({"exists": True} | shown | fields))


ROWS = [
    {"first_sent_at": sent and NOW - timedelta(seconds=sent), "new_disk_id": new}
    for sent, new in product((None, 30, RESEND_WINDOW, RESEND_WINDOW + 1), ("", "d-new"))
    if sent or not new
]
DISKS = [
    {"disk_id": disk, "disk_size": size, "disk_image_id": image, "disk_created_at": NOW - timedelta(seconds=age)}
    for disk, size, image, age in (
        ("", 0, "", 0),
        ("d-old", 40, "m-old", 9000),
        ("d-old", 60, "m-old", 9000),
        ("d-new", 60, "m-new", 20),
        ("d-new", 60, "m-new", 9000),
        ("d-new", 80, "m-new", 20),
        ("d-else", 60, "m-else", 20),
    )
]
READINGS = [
    {**disk, "exists": exists, "status": status, "snapshot_running": snapshot, "disk_status": disk_status}
    for disk, exists, status, snapshot, disk_status in product(
        DISKS, (True, False), ("Stopped", "Running"), (True, False), ("In_use", "Creating")
    )
]


def follows(step: NextStep, result: Result | None) -> bool:
    """Say whether the result is what the model takes the step to lead to."""
    if step is NextStep.SEND:
        return result is None
    if LEADS[step][0] == REPLACING:
        return isinstance(result, Wait)
    return isinstance(result, Move) and result.to == MOVES[LEADS[step][0]]


def test_what_is_looked_at_leads_where_the_protocol_says() -> None:
    met = set()
    for fields, shown in product(ROWS, READINGS):
        row, reading = row_of(**fields), reading_of(**shown)
        step = decide(record_of(row, NOW), seen_of(reading, row.image_id, NOW))
        result = result_of_reading(row, reading, NOW, soon=5)
        assert follows(step, result), (step, result, fields, shown)
        assert result is None or len(result.note) > 20, "a person reads why"
        met.add(step)
    assert met == set(NextStep)


def test_the_call_leaves_only_on_the_approved_disk_of_a_stopped_machine_without_an_answer() -> None:
    for fields, shown in product(ROWS, READINGS):
        if result_of_reading(row_of(**fields), reading_of(**shown), NOW, soon=5) is None:
            assert (shown["disk_id"], shown["disk_size"], shown["status"]) == ("d-old", 40, "Stopped")
            assert shown["exists"]
            assert not shown["snapshot_running"]
            assert not fields["new_disk_id"]


def test_an_adopted_disk_is_that_of_the_reading() -> None:
    row = row_of(first_sent_at=NOW - timedelta(seconds=30))
    result = result_of_reading(row, reading_of(**DISKS[3]), NOW, soon=5)
    assert isinstance(result, Wait)
    assert result.fields == {"new_disk_id": "d-new", "outcome": Outcome.ADOPTED}
    assert [told.action for told in result.events] == ["instance.adopted"]


def error(code: str, status: int = 403) -> CloudError:
    retryability = retryability_of(code=code, mutating=True, http_status=status)
    return CloudError(code=code, message="In the cloud's words.", retryability=retryability, http_status=status)


ANSWERS = [
    (ReplaceAnswer("d-new", "r-1"), Answer.DISK),
    (error("SDK.HttpError", 0), Answer.UNCLEAR),
    (error("InternalError", 500), Answer.UNCLEAR),
    (error("IdempotentProcessing"), Answer.UNCLEAR),
    (NotSent(), Answer.NOT_SENT),
    (NotSent("The password cannot be opened"), Answer.CANNOT_SEND),
    (error("Throttling.User", 400), Answer.THROTTLED),
    (error("DiskCreatingSnapshot"), Answer.NOT_NOW),
    (error("IncorrectInstanceStatus"), Answer.NOT_STOPPED),
    (error("INST_HAS_UNPAID_ORDER"), Answer.REFUSED),
    (error("IdempotentParameterMismatch", 400), Answer.TOKEN_TAKEN),
]
THEN: dict[After, State | None] = {
    After.RECORD: None, After.LOOK_AGAIN: None, After.STOP: State.STOPPING, After.END: State.FAILED, After.HOLD: State.HELD,
}  # fmt: skip


def batch_of(row: Replacement) -> Batch:
    """Return a batch that cannot call: whoever judges an answer has nothing to ask of the cloud."""
    nobody = cast(EcsClient, None)
    return Batch([row], row.account, "cn-hangzhou", nobody, {}, ManualClock(NOW), NOW, deadline=0.0)


@pytest.mark.django_db
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("answer", "kind"), ANSWERS)
def test_an_answer_leads_where_the_protocol_says(answer: Reply, kind: Answer, first: bool) -> None:
    verdict = judge(kind, first=first)
    row = row_of(first_sent_at=NOW)
    result = result_of_call(row, answer, batch_of(row), first_time=first)

    assert (result.to if isinstance(result, Move) else None) == THEN[verdict.then]
    assert ("first_sent_at" in result.fields) is not verdict.intent_stands, "taken back, or standing"
    assert result.fields.get("new_disk_id", "") == ("d-new" if kind is Answer.DISK else "")
    if isinstance(result, Move) and not first:
        assert "intact" not in result.note
        assert result.to is State.HELD


@pytest.mark.django_db
class TestOnTheEmulator:
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(datetime.now(UTC))

    def lost(self, fleet: Emulator, clock: ManualClock) -> tuple[Replacement, Instance]:
        """Return a machine that was stopped all along and whose first call got lost on its way."""
        machine = fleets.plain(1, status="Stopped", stopped_mode="KeepCharging")[0]
        fleet.faults({"action": "ReplaceSystemDisk", "kind": "drop", "times": 1})
        change = fleets.started([machine], fleets.image_named("Ubuntu 24.04"), clock)
        row = Replacement.objects.get(change=change)
        fleets.drive(clock, until=lambda: bool(fleet.journal(action="ReplaceSystemDisk")))
        row.refresh_from_db()
        assert row.first_sent_at is not None
        return row, machine

    def test_after_a_lost_call_a_machine_that_runs_again_is_only_looked_at(
        self, fleet: Emulator, clock: ManualClock
    ) -> None:
        row, machine = self.lost(fleet, clock)
        fleet.patch_instance(machine.instance_id, Status="Running")
        clock.advance(30)
        loop.step(clock)
        row.refresh_from_db()
        assert row.state == State.REPLACING
        assert "it is running again. It is only looked at" in row.note
        clock.advance(RESEND_WINDOW)
        fleets.drive(clock)

        row.refresh_from_db()
        assert (row.state, row.held_from) == (State.HELD, State.REPLACING)
        assert "the time in which the same call may be sent again is over" in row.note
        assert len(fleet.journal(action="ReplaceSystemDisk")) == 1
        assert not fleet.journal(action="StopInstances")

    def test_after_a_lost_call_a_machine_that_changed_is_never_skipped(
        self, fleet: Emulator, clock: ManualClock
    ) -> None:
        row, machine = self.lost(fleet, clock)
        fleet.patch_instance(machine.instance_id, SystemDisk={"Size": 60})
        fleets.drive(clock)

        row.refresh_from_db()
        assert (row.state, row.outcome) == (State.HELD, "")
        assert "has changed: Its system disk has 60 GiB" in row.note

    def test_a_throttled_first_call_leaves_nothing_unclear(self, fleet: Emulator, clock: ManualClock) -> None:
        machine = fleets.plain(1, status="Stopped", stopped_mode="KeepCharging")[0]
        throttled = {"kind": "error", "code": "Throttling.User", "action": "ReplaceSystemDisk", "times": 1}
        fleet.faults(throttled)
        change = fleets.started([machine], fleets.image_named("Ubuntu 24.04"), clock)
        fleets.drive(clock, until=lambda: bool(fleet.journal(action="ReplaceSystemDisk")))

        row = Replacement.objects.get(change=change)
        assert (row.first_sent_at, row.error_code) == (None, "Throttling.User")
        fleets.drive(clock)
        row.refresh_from_db()
        assert row.outcome == Outcome.SUCCEEDED
        assert not AuditEvent.objects.filter(change=change, action="instance.answer_lost").exists()
