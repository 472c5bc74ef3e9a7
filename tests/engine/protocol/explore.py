"""Explore every schedule of a model, by its states.

A *schedule* is one way from the beginning to where nothing can happen any more, told by the order of its events. Schedules
that meet in the same world go on alike, so each world is expanded once and every event out of it is taken and judged; the
worlds hold all that the judgement depends on, history included. Schedules are then counted over the graph that this leaves:
the ways into a world are the sum of the ways into those before it. A test walks a small graph way by way and compares.
"""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.engine.protocol.model import NEVER_ENDS, Budget, World
from tests.engine.protocol.promises import violation
from tests.engine.protocol.surroundings import RACE
from tests.engine.protocol.workers import Model


@dataclass(frozen=True)
class Found:
    """What exploring found. `schedules` ended, in `ends` by how; `races` are exchanges that no client can prevent.

    `wrong` is the first violation by the number of events, with the shortest schedule that shows it.
    """

    worlds: int
    events: int
    schedules: int
    races: int
    ends: Counter[str] = field(default_factory=Counter)
    wrong: str = ""
    schedule: tuple[str, ...] = ()

    def __str__(self) -> str:
        ends = ", ".join(f"{many:,} {end}" for end, many in self.ends.most_common())
        counted = f"{self.schedules:,} schedules over {self.worlds:,} worlds and {self.events:,} events"
        return f"{counted}; worlds at the end: {ends}; races: {self.races:,}"


def explore(model: Model, budget: Budget) -> Found:
    """Take every event out of every world that can be reached; stop at the first violation."""
    worlds = [World(left=budget)]
    known = {worlds[0]: 0}
    came_from = array("q", [-1])
    came_by = [""]
    following: list[array[int]] = []
    races = 0
    at = 0
    while at < len(worlds):
        next_worlds = array("q")
        for event, after in model.successors(worlds[at]):
            number = known.get(after)
            races += event.endswith(RACE)
            if number is None:
                number = known[after] = len(worlds)
                worlds.append(after)
                came_from.append(at)
                came_by.append(event)
                if wrong := violation(after):
                    way = _way(number, came_from, came_by)
                    return Found(len(worlds), sum(map(len, following)), 0, races, wrong=wrong, schedule=way)
            next_worlds.append(number)
        following.append(next_worlds)
        at += 1
    ways, endless = count_ways(following)
    events = sum(map(len, following))
    if endless is not None:
        way = _way(endless, came_from, came_by)
        return Found(len(worlds), events, 0, races, wrong=NEVER_ENDS, schedule=way)
    ends = [number for number, next_worlds in enumerate(following) if not next_worlds]
    return Found(
        worlds=len(worlds),
        events=events,
        schedules=sum(ways[end] for end in ends),
        races=races,
        ends=Counter(_end(worlds[end]) for end in ends),
    )


def count_ways(following: Sequence[Sequence[int]]) -> tuple[list[int], int | None]:
    """Return the number of ways to each node from node 0, and a node that lies on a circle or behind one, if there is."""
    waiting = [0] * len(following)
    for behind in following:
        for number in behind:
            waiting[number] += 1
    ways = [0] * len(following)
    ways[0] = 1
    ready = [0]
    while ready:
        here = ready.pop()
        for number in following[here]:
            ways[number] += ways[here]
            waiting[number] -= 1
            if not waiting[number]:
                ready.append(number)
    return ways, next((number for number, left in enumerate(waiting) if left), None)


def _end(world: World) -> str:
    return f"{world.row.state} (adopted)" if world.row.adopted else world.row.state


def _way(number: int, came_from: Sequence[int], came_by: list[str]) -> tuple[str, ...]:
    way = []
    while number > 0:
        way.append(came_by[number])
        number = came_from[number]
    return tuple(reversed(way))
