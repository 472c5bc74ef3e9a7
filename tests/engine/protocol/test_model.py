"""The replacement protocol, the very functions that the engine runs, against every schedule within stated bounds.

A budget bounds a run: faults (an answer lost, a call lost, late, throttled or refused), crashes (at any boundary of any
worker), acts of others (another actor replaces, starts, enlarges; a gate closes; a person calls it back), jumps of the clock
(by 11 s, 61 s, 10 min and a second, half an hour), and rows that a person gives back. Two workers, throughout.
"""

import time
from collections.abc import Callable

from tests.engine.protocol.explore import Found, count_ways, explore
from tests.engine.protocol.model import Budget, Provider, Rules, World
from tests.engine.protocol.workers import Model
from tests.support import torture

REMEMBERING = Provider()
# Tokens are forgotten at once; in return no request is late and nothing is acted on later: the reading stands alone.
FORGETTING = Provider(remembers=0, request_lives=0, acts_late=False)

RUNS = [
    (REMEMBERING, Budget(faults=1, crashes=1, acts=1, jumps=1, looks=1)),
    (REMEMBERING, Budget(faults=1, crashes=1, jumps=2)),
    (REMEMBERING, Budget(faults=2, crashes=2, jumps=1, looks=1)),
    (REMEMBERING, Budget(acts=2, jumps=1)),
    (FORGETTING, Budget(faults=2, crashes=1, jumps=2)),
    (FORGETTING, Budget(faults=1, crashes=1, acts=1, jumps=1, looks=1)),
]
# Minutes more, for as many schedules as `manage.py torture model` asks for.
DEEPER = [
    (REMEMBERING, Budget(faults=2, crashes=1, jumps=2)),
    (REMEMBERING, Budget(faults=1, crashes=2, jumps=2)),
    (REMEMBERING, Budget(faults=1, acts=1, jumps=2)),
    (REMEMBERING, Budget(crashes=1, acts=1, jumps=2)),
    (FORGETTING, Budget(faults=1, crashes=1, acts=1, jumps=2)),
    (REMEMBERING, Budget(faults=1, jumps=3, looks=1)),
    (REMEMBERING, Budget(faults=1, crashes=1, acts=1, jumps=2)),
]


def check(provider: Provider, budget: Budget) -> Found:
    found = explore(Model(Rules(), provider), budget)
    assert not found.wrong, "\n".join([found.wrong, *found.schedule])
    return found


def test_no_schedule_breaks_a_promise(report: Callable[[str], None]) -> None:
    wanted = torture.rounds(1_000_000)
    begin = time.process_time()
    found = [check(provider, budget) for provider, budget in RUNS]
    for provider, budget in DEEPER:
        if sum(each.schedules for each in found) >= wanted:
            break
        found.append(check(provider, budget))
    seconds = time.process_time() - begin

    schedules, worlds = sum(each.schedules for each in found), sum(each.worlds for each in found)
    report(f"the replacement protocol: {schedules:,} schedules over {worlds:,} worlds, no violation, {seconds:.1f} s")
    assert schedules >= 1_000_000
    assert len(found) > len(RUNS) or seconds < 60, "a million schedules in under a minute"


def test_every_end_is_met() -> None:
    """A model in which something never happens proves nothing about it."""
    ends = check(REMEMBERING, Budget(faults=1, crashes=1, acts=1, jumps=1))
    assert ends.ends.keys() >= {"done", "done (adopted)", "untouched", "held", "held after"}
    assert ends.races > 0, "another actor between our reading and our call: counted, not prevented"


def test_without_faults_and_others_nothing_is_lost() -> None:
    found = check(Provider(jumps=(11,)), Budget(jumps=1))
    assert set(found.ends) == {"done", "held"}, "held: the provider took an hour"


def test_schedules_are_counted_as_walking_them_one_by_one_counts_them() -> None:
    model, budget = Model(Rules(), REMEMBERING), Budget(faults=1, jumps=1)
    found = explore(model, budget)
    walked = 0
    ahead = [World(left=budget)]
    while ahead:
        after = [world for _, world in model.successors(ahead.pop())]
        walked += not after
        ahead += after
    assert walked == found.schedules


def test_a_circle_is_no_schedule() -> None:
    ways, endless = count_ways([[1, 2], [2], []])
    assert (ways[2], endless) == (2, None)
    assert count_ways([[1], [2], [1]])[1] is not None
