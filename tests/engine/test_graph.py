"""The graph: every state reached, left and bounded in time; and the way of a machine through it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from fleet.engine.graph import BY_PERSONS, FINAL, GRAPH, check, time_for
from fleet.engine.moves import entering
from fleet.engine.results import State
from fleet.engine.route import BEFORE_THE_LINE, ORDER, onward
from fleet.guards.policy import Policy, PolicyStep
from fleet.models import Change, Outcome, Replacement, Target

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
COMMAND = PolicyStep(kind="command", text="true", timeout=900)
WEBHOOK = PolicyStep(kind="webhook", webhook=1, timeout=60)


def row(*, policy: Policy | None = None, days: int | None = None, snapshot: str = "", **given: object) -> Replacement:
    change = Change(policy=(policy or Policy()).as_json(), snapshot_days=days)
    target = Target(change=change, snapshot_id=snapshot, seen={"disk_id": "d-1"})
    fields: dict[str, object] = {"was_running": True, "image_id": "" if snapshot else "m-1"}
    return Replacement(change=change, target=target, **(fields | given))


def test_every_state_is_reached_and_every_way_is_declared() -> None:
    reached, edge = {State.QUEUED}, {State.PREPARING}
    while edge:
        reached |= edge
        edge = {to for state in edge if state in GRAPH for to in GRAPH[state].to} - reached
    assert reached == set(State)
    assert set(GRAPH) | BY_PERSONS | FINAL == set(State)
    assert all(to in set(State) for step in GRAPH.values() for to in step.to)


# Only before the line of no return a machine can be on its way back.
WAYS = [(state, False) for state in GRAPH] + [(state, True) for state in GRAPH if state in BEFORE_THE_LINE]


@pytest.mark.parametrize(("state", "back"), WAYS)
def test_whoever_is_late_goes_where_the_graph_leads(state: State, back: bool) -> None:
    for was_running, disk in product((True, False), ("", "d-2")):
        outcome = "" if disk else Outcome.FAILED_UNTOUCHED
        late = row(state=state, was_running=was_running, new_disk_id=disk, returning=back, outcome=outcome, note="Why.")
        move = GRAPH[state].overdue(late)
        assert move.to in GRAPH[state].to
        assert move.to is not State.QUEUED
        assert move.note.strip().endswith(".")


def test_a_graph_with_a_mistake_stops_the_program() -> None:
    for state, wrong in (
        (State.STOPPING, {"to": GRAPH[State.STOPPING].to - {State.QUEUED}}),
        (State.STARTING, {"to": GRAPH[State.STARTING].to | {State.QUEUED}}),
        (State.RESTORING, {"to": GRAPH[State.RESTORING].to - {State.HELD}}),
        (State.AFTER, {"deadline": timedelta(0)}),
        (State.VERIFYING, {"to": frozenset({State.HELD})}),
    ):
        with pytest.raises(ValueError, match=r"needs a way|back to the queue|Never reached"):
            check(GRAPH | {state: replace(GRAPH[state], **wrong)})


def test_each_state_begins_with_its_deadline_and_nothing_of_an_earlier_stay() -> None:
    step = Policy(force_stop_minutes=20, before=COMMAND, after=COMMAND)
    for state in GRAPH:
        fields = entering(row(policy=step), state, NOW)
        assert (fields["due_at"], fields["deadline_at"]) == (NOW, NOW + time_for(row(policy=step), state))
    assert time_for(row(policy=step), State.STOPPING) == timedelta(minutes=30)
    assert time_for(row(policy=step), State.AFTER) == timedelta(minutes=25)
    assert entering(row(), State.BEFORE, NOW)["step_id"] == ""
    assert entering(row(), State.QUEUED, NOW)["was_running"] is None
    assert entering(row(), State.DONE, NOW)["finished_at"] == NOW


def walk(machine: Replacement) -> list[State]:
    states = [State.PREPARING]
    while states[-1] is not State.DONE:
        states.append(onward(machine, states[-1]))
    return states


def test_the_way_of_a_machine_has_what_was_asked_for() -> None:
    S = State
    plain = [S.PREPARING, S.STOPPING, S.REPLACING, S.RESTORING, S.STARTING, S.VERIFYING, S.DONE]
    assert walk(row()) == plain
    assert walk(row(was_running=False)) == [s for s in plain if s not in (S.STOPPING, S.STARTING)]
    everything = Policy(before=COMMAND, after=WEBHOOK)
    assert walk(row(policy=everything, days=3, snapshot="s-1")) == list(ORDER)
    stopped = walk(row(policy=everything, was_running=False))
    assert S.BEFORE not in stopped, "a command does not run on a stopped machine"
    assert S.AFTER in stopped
