"""Clusters of causes: what an operator reads, with the next act."""

import pytest

from fleet.changes import effects, settling
from fleet.engine.causes import clusters, rows_of
from fleet.engine.results import State
from fleet.lib.clock import ManualClock
from fleet.models import Outcome
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
    fleets.drive(clock, steps=1200)
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
    effect = effects.preview(change, "look_again", clock.now(), ids)
    assert effect.numbers == {"machines": 2, "past_the_line": 2, "left": 0}
    assert settling.look_again(actor=operator(), change_id=change.pk, replacement_ids=ids, now=clock.now()) == 2
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
    settling.give_up(actor=operator(), change_id=change.pk, replacement_ids=[row.pk], now=clock.now())
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.FAILED_UNTOUCHED: 1}
    assert fleet.call("GET", f"instances/{machine.instance_id}")["Status"] == "Running"
