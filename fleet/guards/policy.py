"""How a change is carried out: how many at a time, in which waves, and when it stops by itself. Pure."""

import heapq
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

MOST_IN_FLIGHT = 10_000
HOLDS = ("none", "timed", "person")
GROWTHS = ("at_once", "ramp", "fixed")


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """A step of the policy before or after the replacement of each machine.

    A `command` runs on the machine through Cloud Assistant: exit code 0 is good, any other is bad. A `webhook` is named by its
    id, and its answer carries the verdict. Without a verdict in `timeout` seconds the step is inconclusive.
    """

    kind: str  # command or webhook
    text: str = ""
    webhook: int | None = None
    timeout: int = 300


@dataclass(frozen=True, slots=True)
class Policy:
    """How a change is carried out, in whole numbers. `failures_allowed` 0 means that the first failure stops the change.

    The `canary` machines go first (0: no canary), and `canary_failures` of them may fail; then `hold` says whether a timer
    (`hold_minutes`) or a person opens the next wave. `growth` makes the waves of all others: a single one (`at_once`), of 1, 2,
    4 and so on up to `max_in_flight` (`ramp`), or of `wave_size` each (`fixed`). `wave_failures` and `skips_allowed` None: no
    such budget. No wave has two machines with the same value of `spread_tag`. `force_stop_minutes` 0: never stop by force.
    """

    max_in_flight: int = 5
    failures_allowed: int = 0
    skips_allowed: int | None = None
    canary: int = 0
    canary_failures: int = 0
    hold: str = "none"
    hold_minutes: int = 0
    growth: str = "at_once"
    wave_size: int = 0
    wave_failures: int | None = None
    spread_tag: str = ""
    force_stop_minutes: int = 0
    before: PolicyStep | None = None
    after: PolicyStep | None = None

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Policy":
        """Return the policy that was stored; what an older version did not store has its default."""
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        for name in ("before", "after"):
            if known.get(name):
                known[name] = PolicyStep(**known[name])
        return cls(**known)

    def as_json(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return asdict(self)

    def waves(self, domains: Sequence[str]) -> list[list[int]]:
        """Return the waves, first the canary if there is one, as places in `domains`.

        `domains` holds each machine's value of `spread_tag`, in the order of the machines; a machine with an empty value is a
        domain of its own. A wave takes first from the domains with most machines left, so that there are few waves.
        """
        queues: dict[str, list[int]] = {}
        for place, domain in enumerate(domains):
            own = domain if self.spread_tag and domain else f"\0{place}"
            queues.setdefault(own, []).append(place)
        for queue in queues.values():
            queue.reverse()
        heap = [(-len(queue), queue[-1], name) for name, queue in queues.items()]
        heapq.heapify(heap)
        waves: list[list[int]] = []
        while heap:
            size = self._size_of(len(waves), len(domains))
            taken = [heapq.heappop(heap) for _ in range(min(size, len(heap)))]
            waves.append(sorted(queues[name].pop() for _, _, name in taken))
            for _, _, name in taken:
                if queue := queues[name]:
                    heapq.heappush(heap, (-len(queue), queue[-1], name))
        return waves

    def _size_of(self, number: int, machines: int) -> int:
        if self.canary:
            if number == 0:
                return self.canary
            number -= 1
        if self.growth == "fixed":
            return max(1, self.wave_size)
        if self.growth == "ramp":
            return min(1 << min(number, 20), self.max_in_flight)
        return machines

    def worst_case(self, machines: int) -> int:
        """Return how many machines can be lost before the change stops by itself.

        Those are the failures allowed, the one that stops it, and all others in flight then, which are driven to an end.
        """
        at_once = self.max_in_flight if self.growth != "fixed" else min(self.max_in_flight, max(1, self.wave_size))
        return min(machines, self.failures_allowed + max(at_once, min(self.canary, self.max_in_flight)))

    def worst_case_of_canary(self, machines: int) -> int:
        """Return how many machines can be lost before the canary stops it, 0 without a canary."""
        canary = min(self.canary, machines)
        allowed = min(self.canary_failures, self.failures_allowed)
        return min(canary, allowed + min(canary, self.max_in_flight))
