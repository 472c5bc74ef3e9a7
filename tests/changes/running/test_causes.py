"""Clusters of causes: what an operator reads, with the next act."""

import json
from typing import Any

import pytest

from fleet.changes.running import acts, held_machines
from fleet.changes.running.causes import cause_of, clusters, rows_of
from fleet.cloud import CloudError, EcsClient, Retryability
from fleet.emulator.wire.errors import DATA
from fleet.engine.results import State
from fleet.lib.clock import ManualClock
from fleet.models import Instance, Outcome
from tests.engine.runs import no_quota, operator, outcomes, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db


def test_a_cluster_is_one_cause_with_its_machines_and_acts(
    fleet: Emulator, clock: ManualClock, django_assert_num_queries: object
) -> None:
    machines = fleets.plain(5)
    for machine in machines[:2]:
        fleet.patch_instance(machine.instance_id, unpaid_order=True)
    fleet.faults(
        *(
            {"kind": "boot_fails", "action": "StartInstances", "instance": one.instance_id, "times": 0}
            for one in machines[2:4]
        )
    )
    change = run(machines, clock, policy=fleets.Policy(max_in_flight=5, failures_allowed=9))
    fleets.drive(clock, rarely=60)
    fleet.faults()

    with django_assert_num_queries(1):  # type: ignore[operator]
        first, second = clusters(change)
    assert (first.state, first.machines, first.past_the_line, first.cause.acts) == (
        State.HELD,
        2,
        True,
        ("look_again", "give_up"),
    )
    assert (second.state, second.machines, second.cause.words) == (State.FAILED, 2, "An order is not paid")
    assert second.cause.next_act.startswith("Pay or cancel the order")
    assert second.cause.acts == ()

    ids = list(rows_of(change, first).values_list("pk", flat=True))
    effect = acts.preview(change, "look_again", clock.now(), ids)
    assert effect.numbers == {"machines": 2, "past_the_line": 2, "left": 0}
    assert held_machines.look_again(actor=operator(), change_id=change.pk, replacement_ids=ids, now=clock.now()) == 2
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 3, Outcome.FAILED_UNTOUCHED: 2}
    assert states(change)[State.HELD] == 0


def test_giving_up_an_untouched_machine_starts_it_first(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    change = run([machine], clock, policy=fleets.Policy(max_in_flight=1, failures_allowed=9))
    with no_quota():
        fleets.drive(clock, until=lambda: states(change)[State.REPLACING] == 1)
    change.replacements.update(state=State.HELD, held_from=State.REPLACING, due_at=None)
    row = rows(change).get()
    (cluster,) = clusters(change)
    assert (cluster.past_the_line, cluster.cause.acts) == (False, ("look_again", "skip", "give_up"))
    held_machines.give_up(actor=operator(), change_id=change.pk, replacement_ids=[row.pk], now=clock.now())
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.FAILED_UNTOUCHED: 1}
    assert fleet.call("GET", f"instances/{machine.instance_id}")["Status"] == "Running"


# Waited for, or of calls that we do not make: no machine ends with these.
NOBODY_ENDS_WITH = {"DiskCreatingSnapshot", "InvalidParameter"}


def test_every_refusal_of_the_reference_is_told_in_words_of_its_own() -> None:
    errors = json.loads((DATA / "edition_2018.json").read_text())["errors"]
    codes = {code for code, _, _ in errors.values()} - NOBODY_ENDS_WITH
    assert len(codes) > 20
    for code in sorted(codes):
        cause = cause_of(code, State.FAILED, Outcome.FAILED_UNTOUCHED, past_the_line=False)
        assert not cause.words.startswith("The cloud refused"), code
        assert cause.next_act.endswith("."), code


def test_a_refusal_after_a_lost_answer_does_not_hide_that_it_was_lost() -> None:
    cause = cause_of("QuotaExceed.BuyImage", State.HELD, "", past_the_line=True, held_from=State.REPLACING)
    assert cause.words == "What was done is not certain; then the cloud said: the quota of the image is used up"
    assert cause.acts == ("look_again", "ask_retry", "give_up")


def test_a_machine_that_shows_no_disk_after_the_call_is_told_as_such(fleet: Emulator, clock: ManualClock) -> None:
    change = run(2, clock, policy=fleets.Policy(max_in_flight=2, failures_allowed=9))
    without, with_one = rows(change)
    for row in (without, with_one):
        sent = {"first_sent_at": clock.now(), "token": f"token-{row.pk}", "due_at": None, "note": "It shows none."}
        change.replacements.filter(pk=row.pk).update(state=State.HELD, held_from=State.REPLACING, **sent)
    Instance.objects.filter(pk=without.instance_id).update(disk_id="")

    both = [without.pk, with_one.pk]
    assert held_machines.give_up(actor=operator(), change_id=change.pk, replacement_ids=both, now=clock.now()) == 2

    assert [row.outcome for row in rows(change)] == [Outcome.FAILED_DISKLESS, Outcome.UNKNOWN]
    words = {cluster.cause.words: cluster.cause.next_act for cluster in clusters(change)}
    assert words["Without a system disk"] == "Open a ticket with the provider at once."


def test_the_cause_is_kept_while_the_machine_does_not_start_again(fleet: Emulator, clock: ManualClock) -> None:
    fleet.faults(
        {"kind": "error", "code": "QuotaExceed.BuyImage", "action": "ReplaceSystemDisk", "times": 0},
        {"kind": "error", "code": "OperationDenied.NoStock", "action": "StartInstances", "times": 1},
    )
    change = run(1, clock, policy=fleets.Policy(max_in_flight=1, failures_allowed=9))
    fleets.drive(clock)

    row = rows(change).get()
    assert (row.outcome, row.error_code) == (Outcome.FAILED_UNTOUCHED, "QuotaExceed.BuyImage")
    assert "does not start yet" not in row.note


def test_one_refused_disk_does_not_cost_the_others_their_snapshot_policy(
    fleet: Emulator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = [machine for machine in fleets.plain(30) if machine.disk_snapshot_policy][:3]
    change = run(machines, clock, policy=fleets.Policy(max_in_flight=3, failures_allowed=9))
    apply = EcsClient.apply_auto_snapshot_policy
    bad: list[str] = []

    def picky(self: EcsClient, *, policy_id: str, disk_ids: list[str]) -> Any:
        bad[:] = bad or disk_ids[:1]
        if bad[0] in disk_ids:
            raise CloudError(code="InvalidDiskCategory.NotSupported", message="No.", retryability=Retryability.REFUSED)
        return apply(self, policy_id=policy_id, disk_ids=disk_ids)

    monkeypatch.setattr(EcsClient, "apply_auto_snapshot_policy", picky)
    fleets.drive(clock)

    assert sorted("snapshot_policy" in row.restored for row in rows(change)) == [False, True, True]
    told = ["Could not be put back: snapshot policy." in row.note for row in rows(change)]
    assert sorted(told) == [False, False, True]
