"""The settings that an operator may change while the emulator runs."""

from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

DURATIONS = {"stop": 30.0, "start": 40.0, "replace": 60.0, "snapshot": 120.0, "image": 120.0, "command": 2.0}
QUOTAS = {"ReplaceSystemDisk": 200}


@dataclass(slots=True)
class Settings:
    """Durations in seconds of real life, shortened by `speed`; quotas in calls a minute; how long a token is known."""

    instances: int = 300
    seed: int = 1
    speed: float = 1.0
    edition: str = "2018"
    durations: dict[str, float] = field(default_factory=lambda: dict(DURATIONS))
    quotas: dict[str, int] = field(default_factory=lambda: dict(QUOTAS))
    token_memory_seconds: float = 86400.0
    remember_failures: bool = False
    economical_default: bool = False
    token_key: str = ""

    def lasts(self, what: str) -> float:
        """Return how many seconds something takes at the present speed; 0 means at once."""
        return self.durations[what] / self.speed

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as plain data."""
        return asdict(self)

    def set_durations(self, raw: dict[str, Any]) -> None:
        """Set some durations; raise ValueError."""
        for name, value in raw.items():
            if name not in DURATIONS:
                raise ValueError(f"There is no duration {name!r}: {', '.join(DURATIONS)}.")
            _number(name, value, least=0)
        self.durations |= {name: float(value) for name, value in raw.items()}

    def set_quotas(self, raw: dict[str, Any]) -> None:
        """Set some quotas in calls a minute, None lifts one; raise ValueError."""
        for name, value in raw.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise ValueError(f"The quota of {name} is a whole number of calls a minute, or null for none.")
        self.quotas = {name: value for name, value in (self.quotas | raw).items() if value is not None}

    def set_others(self, raw: dict[str, Any]) -> None:
        """Set speed, edition, token memory and switches; raise ValueError."""
        for name, value in raw.items():
            if name in ("speed", "token_memory_seconds"):
                _number(name, value, least=0.001 if name == "speed" else 0)
            elif name in ("remember_failures", "economical_default"):
                if not isinstance(value, bool):
                    raise ValueError(f"{name} is true or false.")
            elif name != "edition" or value not in ("2018", "2026"):
                raise ValueError(
                    "The settings are speed, edition (2018 or 2026), token_memory_seconds, remember_failures "
                    "and economical_default."
                )
        for name, value in raw.items():
            setattr(self, name, value)


def _number(name: str, value: Any, *, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < inf:
        raise ValueError(f"{name} is a number of at least {least}.")
