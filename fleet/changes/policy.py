"""How a change is carried out: how many at a time, and how many failures before it stops by itself."""

from dataclasses import dataclass
from typing import Any

MOST_IN_FLIGHT = 500


@dataclass(frozen=True, slots=True)
class Policy:
    """Resolved integers. "Failures allowed 0" means that the first failure stops the change."""

    max_in_flight: int = 5
    failures_allowed: int = 0

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Policy":
        return cls(**{name: stored[name] for name in ("max_in_flight", "failures_allowed") if name in stored})

    def as_json(self) -> dict[str, int]:
        return {"max_in_flight": self.max_in_flight, "failures_allowed": self.failures_allowed}

    def worst_case(self, machines: int) -> int:
        """Return how many machines can be lost before the change stops by itself.

        The failure that stops it, and all others that were in flight at that moment and are driven to an end.
        """
        return min(machines, self.failures_allowed + self.max_in_flight)
