"""The canary, waves, budgets: what opens when, and what stops a change."""

from datetime import timedelta

import pytest

from fleet.changes.running import controls
from fleet.engine.results import State
from fleet.engine.waves import budgets, counts_of
from fleet.lib.clock import ManualClock
from fleet.lib.refused import Refused
from fleet.models import AuditEvent, Change, ChangeState, Outcome, Replacement, Transition
from tests.engine.runs import operator, outcomes, rows, run, states
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db
Policy = fleets.Policy


def waves_overlap(change: Change) -> bool:
    """Say whether a machine of a later wave began before every machine of an earlier one had ended."""
    began = {
        move.replacement.wave: move.at
        for move in Transition.objects.filter(replacement__change=change, from_state="queued")
        .select_related("replacement")
        .order_by("-at")
    }
    ended: dict[int, list[object]] = {}
    for row in Replacement.objects.filter(change=change):
        ended.setdefault(row.wave, []).append(row.finished_at)
    return any(began[later] < max(ended[wave]) for wave in ended for later in began if later > wave)  # type: ignore[operator, type-var]


def test_waves_ramp_up_and_never_overlap(fleet: Emulator, clock: ManualClock) -> None:
    change = run(9, clock, policy=Policy(max_in_flight=4, growth="ramp", canary=1))
    assert list(rows(change).values_list("wave", flat=True)) == [0, 1, 2, 2, 3, 3, 3, 3, 4]
    fleets.drive(clock)

    change.refresh_from_db()
    assert outcomes(change) == {Outcome.SUCCEEDED: 9}
    assert (change.state, change.wave, change.waits_for) == (ChangeState.FINISHED, 4, "")
    assert not waves_overlap(change)


def test_no_wave_holds_two_machines_of_one_domain(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(30)
    shared = next(
        [m for m in machines if m.tags.get("service") == s][:3]
        for s in {m.tags.get("service") for m in machines}
        if sum(m.tags.get("service") == s for m in machines) >= 3
    )
    change = run(shared, clock, policy=Policy(max_in_flight=10, spread_tag="service"))
    assert sorted(rows(change).values_list("wave", flat=True)) == [0, 1, 2]
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 3}
    assert not waves_overlap(change)


def test_held_machines_that_take_every_place_are_why_nothing_begins(fleet: Emulator, clock: ManualClock) -> None:
    change = run(3, clock, policy=Policy(max_in_flight=1, failures_allowed=5))
    first = rows(change)[0]
    fleet.faults({"kind": "boot_fails", "action": "StartInstances", "instance": first.instance.instance_id, "times": 0})
    fleets.drive(clock, rarely=60)

    change.refresh_from_db()
    assert states(change) == {State.HELD: 1, State.QUEUED: 2}
    assert change.waits_for == "1 held machine takes up every place in flight. Settle it, and the rest goes on."


def test_a_wave_does_not_open_while_a_machine_is_held(fleet: Emulator, clock: ManualClock) -> None:
    policy = Policy(max_in_flight=5, growth="fixed", wave_size=2, failures_allowed=5)
    change = run(4, clock, policy=policy)
    first = rows(change)[0]
    fleet.faults({"kind": "boot_fails", "action": "StartInstances", "instance": first.instance.instance_id, "times": 0})
    fleets.drive(clock, rarely=60)

    change.refresh_from_db()
    assert states(change) == {State.HELD: 1, State.DONE: 1, State.QUEUED: 2}
    assert change.waits_for == "Wave 2 begins when wave 1 has ended."


def test_the_canary_holds_for_its_time(fleet: Emulator, clock: ManualClock) -> None:
    policy = Policy(max_in_flight=5, canary=2, hold="timed", hold_minutes=30)
    change = run(5, clock, policy=policy)
    fleets.drive(clock, until=lambda: states(change)[State.DONE] == 2)
    fleets.drive(clock, until=lambda: Change.objects.get(pk=change.pk).hold_until is not None)

    change.refresh_from_db()
    assert change.hold_until == max(row.finished_at for row in rows(change) if row.finished_at) + timedelta(minutes=30)
    assert change.waits_for == f"The canary has ended. The rest begins at {change.hold_until:%H:%M} UTC."
    assert states(change) == {State.DONE: 2, State.QUEUED: 3}
    before = clock.now()
    fleets.drive(clock)  # moves the clock to what is due next: the end of the hold

    began = Transition.objects.filter(replacement__change=change, replacement__wave=1, from_state="queued")
    assert min(began.values_list("at", flat=True)) >= change.hold_until > before
    assert outcomes(change) == {Outcome.SUCCEEDED: 5}


def test_the_canary_holds_for_a_person(fleet: Emulator, clock: ManualClock) -> None:
    change = run(4, clock, policy=Policy(max_in_flight=5, canary=1, hold="person"))
    fleets.drive(clock)
    change.refresh_from_db()
    assert (change.holds_for_person, change.waits_for) == (True, "The canary has ended. A person opens the rest.")
    assert states(change) == {State.DONE: 1, State.QUEUED: 3}

    controls.promote(actor=operator(), change_id=change.pk, now=clock.now())
    with pytest.raises(Refused, match="holds nothing back"):
        controls.promote(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)
    assert outcomes(change) == {Outcome.SUCCEEDED: 4}
    told = AuditEvent.objects.get(change=change, action="change.promoted")
    assert told.data == {"wave": 1, "machines": 3, "began": 3, "waited_for": "a person"}


def test_a_canary_of_which_nothing_was_replaced_proves_nothing(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(3)
    change = fleets.approved(
        machines, fleets.image_named("Ubuntu 24.04"), clock, policy=Policy(max_in_flight=5, canary=1)
    )
    fleets.replace_behind_our_back(machines[0], fleets.image_named("Ubuntu 22.04"))
    controls.start(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)

    change.refresh_from_db()
    assert outcomes(change) == {Outcome.SKIPPED_DRIFT: 1, "": 2}
    assert change.holds_for_person
    assert "proves nothing" in change.waits_for


@pytest.mark.parametrize(
    ("policy", "machines", "failing", "trips_at"),
    [
        (Policy(max_in_flight=1, failures_allowed=2), 6, 6, 3),
        (Policy(max_in_flight=1, failures_allowed=5, canary=3, canary_failures=1), 6, 6, 2),
        (Policy(max_in_flight=1, failures_allowed=9, growth="fixed", wave_size=3, wave_failures=1), 6, 6, 2),
    ],
    ids=["whole", "canary", "wave"],
)
def test_the_failure_beyond_a_budget_stops_the_change(
    fleet: Emulator, clock: ManualClock, policy: fleets.Policy, machines: int, failing: int, trips_at: int
) -> None:
    chosen = fleets.plain(machines)
    for machine in chosen[:failing]:
        fleet.patch_instance(machine.instance_id, unpaid_order=True)
    change = run(chosen, clock, policy=policy)
    fleets.drive(clock)

    change.refresh_from_db()
    assert change.state == ChangeState.TRIPPED
    assert outcomes(change) == {Outcome.FAILED_UNTOUCHED: trips_at, "": machines - trips_at}
    assert change.waits_for.startswith(f"{trips_at} machines failed")
    assert change.waits_for.endswith(f"; {trips_at - 1} may.")
    broken = [budget for budget in budgets(change, counts_of(change)) if budget.broken]
    assert [(one.used, one.allowed) for one in broken] == [(trips_at, trips_at - 1)]


def test_skips_have_a_budget_of_their_own(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(4)
    policy = Policy(max_in_flight=1, skips_allowed=1)
    change = fleets.approved(machines, fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    for machine in machines[:2]:
        fleets.replace_behind_our_back(machine, fleets.image_named("Ubuntu 22.04"))
    controls.start(actor=operator(), change_id=change.pk, now=clock.now())
    fleets.drive(clock)

    change.refresh_from_db()
    assert (change.state, change.waits_for) == (ChangeState.TRIPPED, "2 machines were skipped; 1 may be.")
    assert outcomes(change) == {Outcome.SKIPPED_DRIFT: 2, "": 2}


def test_the_standing_takes_one_query(fleet: Emulator, clock: ManualClock, django_assert_num_queries: object) -> None:
    change = run(6, clock, policy=Policy(max_in_flight=2, canary=2))
    with django_assert_num_queries(1):  # type: ignore[operator]
        at = counts_of(change)
    assert [(wave.number, wave.total, wave.queued, wave.in_flight) for wave in at.waves] == [(0, 2, 0, 2), (1, 4, 4, 0)]
    assert (at.whole.total, at.whole.ended) == (6, 0)
