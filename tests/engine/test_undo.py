"""The snapshot before, the undo ledger, and the way back."""

from datetime import timedelta

import pytest

from fleet.changes.drafting import drafts, undoing
from fleet.changes.running import controls
from fleet.engine.results import State
from fleet.lib.clock import ManualClock
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState, Instance, Outcome, Snapshot
from tests.engine.runs import made, operator, outcomes, power, rows, run
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
POLICY = fleets.Policy(max_in_flight=10, failures_allowed=9)


def test_a_snapshot_is_taken_of_the_stopped_disk_and_kept(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(3)
    change = run(machines, clock, policy=POLICY, snapshot_days=7)
    fleets.drive(clock)

    assert outcomes(change) == {Outcome.SUCCEEDED: 3}
    kept = {snapshot.instance_id: snapshot for snapshot in Snapshot.objects.all()}
    for machine in machines:
        snapshot = kept[machine.pk]
        assert (snapshot.disk_id, snapshot.size, snapshot.image_id) == (machine.disk_id, 40, machine.image_id)
        assert snapshot.expires_at - snapshot.created_at == timedelta(days=7)
        assert snapshot.replacement == change.replacements.get(instance=machine)
    calls = fleet.journal(action="CreateSnapshot")
    assert [call["params"]["RetentionDays"] for call in calls] == ["7"] * 3
    assert set(undoing.undoable(clock.now(), change)) == set(kept.values())
    clock.advance(8 * 86400)
    assert not undoing.undoable(clock.now()).exists()


@pytest.mark.parametrize("kind", ["drop", "commit_then_drop"])
def test_a_lost_answer_takes_no_second_snapshot(fleet: Emulator, clock: ManualClock, kind: str) -> None:
    fleet.faults({"action": "CreateSnapshot", "kind": kind, "times": 1})
    change = run(1, clock, policy=POLICY, snapshot_days=1)
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 1}
    assert Snapshot.objects.count() == 1
    assert len({call["client_token"] for call in fleet.journal(action="CreateSnapshot")}) == 1


def test_without_a_snapshot_nothing_is_replaced(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    fleet.faults(
        {"action": "CreateSnapshot", "kind": "error", "code": "QuotaExceed.Snapshot", "status": 403, "times": 0}
    )
    change = run([machine], clock, policy=POLICY, snapshot_days=1)
    fleets.drive(clock)
    row = rows(change).get()
    assert (row.outcome, row.error_code) == (Outcome.FAILED_UNTOUCHED, "QuotaExceed.Snapshot")
    assert (power(machine, fleet), made(fleet)) == ("Running", [])
    assert not Snapshot.objects.exists()


def test_undo_puts_the_old_system_back(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(2)
    change = run(machines, clock, policy=POLICY, snapshot_days=7)
    fleets.drive(clock)
    ids = [row.pk for row in rows(change)]

    undo = undoing.draft_undo(actor=operator(), change_id=change.pk, replacement_ids=ids, now=clock.now())
    assert (undo.undoes, undo.state, undo.author) == (change, ChangeState.DRAFT, operator())
    Change.objects.filter(pk=undo.pk).update(reason="The new system does not do.")
    drafts.submit(actor=operator(), change_id=undo.pk, now=clock.now())
    fleets.check_all(clock)
    undo.refresh_from_db()
    assert undo.state == ChangeState.IN_REVIEW, undo.check_note
    fleets.approve(undo, clock)
    controls.start(actor=operator(), change_id=undo.pk, now=clock.now())
    fleets.drive(clock)

    assert outcomes(undo) == {Outcome.SUCCEEDED: 2}, list(rows(undo).values_list("note", flat=True))
    for row in rows(undo):
        snapshot = Snapshot.objects.get(snapshot_id=row.target.snapshot_id)
        assert row.image_id == snapshot.made_image_id
        fresh = Instance.objects.get(pk=row.instance_id)
        assert (fresh.image_id, fresh.status) == (snapshot.made_image_id, "Running")
    assert len(fleet.journal(action="CreateImage")) == 2
    with pytest.raises(Refused, match="no snapshot"):
        undoing.draft_undo(actor=operator(), change_id=change.pk, replacement_ids=[*ids, 0], now=clock.now())


@pytest.mark.parametrize("kind", ["drop", "commit_then_drop"])
def test_a_lost_answer_makes_no_second_image(fleet: Emulator, clock: ManualClock, kind: str) -> None:
    change = run(1, clock, policy=POLICY, snapshot_days=7)
    fleets.drive(clock)
    ids = [row.pk for row in rows(change)]
    undo = undoing.draft_undo(actor=operator(), change_id=change.pk, replacement_ids=ids, now=clock.now())
    Change.objects.filter(pk=undo.pk).update(reason="The new system does not do.")
    drafts.submit(actor=operator(), change_id=undo.pk, now=clock.now())
    fleets.check_all(clock)
    undo.refresh_from_db()
    fleets.approve(undo, clock)
    fleet.faults({"action": "CreateImage", "kind": kind, "times": 1})
    controls.start(actor=operator(), change_id=undo.pk, now=clock.now())
    fleets.drive(clock)

    assert outcomes(undo) == {Outcome.SUCCEEDED: 1}
    tokens = {call["client_token"] for call in fleet.journal(action="CreateImage")}
    assert len(tokens) == 1
    assert rows(undo).get().state == State.DONE


def test_a_snapshot_of_another_machine_is_never_put_back(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(2)
    change = run(machines, clock, policy=POLICY, snapshot_days=7)
    fleets.drive(clock)
    mine, other = rows(change)
    undo = undoing.draft_undo(actor=operator(), change_id=change.pk, replacement_ids=[mine.pk], now=clock.now())
    Change.objects.filter(pk=undo.pk).update(reason="The new system does not do.")
    drafts.submit(actor=operator(), change_id=undo.pk, now=clock.now())
    fleets.check_all(clock)
    undo.refresh_from_db()
    fleets.approve(undo, clock)
    controls.start(actor=operator(), change_id=undo.pk, now=clock.now())
    # Behind everything that would have said no before.
    Snapshot.objects.filter(replacement=mine).update(instance=other.instance)
    fleets.drive(clock)

    row = rows(undo).get()
    assert (row.outcome, row.error_code) == (Outcome.FAILED_UNTOUCHED, "InvalidSnapshotId.NotFound")
    assert "another machine's" in row.note
    assert fleet.journal(action="CreateImage") == []
