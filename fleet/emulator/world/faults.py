"""Scripted faults: which calls meet which failure, as data."""

from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

KINDS = ("error", "delay", "drop", "commit_then_drop", "stuck", "boot_fails", "serves_not")
# These change what becomes of a machine; the others what becomes of the call.
LASTING = ("stuck", "boot_fails", "serves_not")


@dataclass(slots=True)
class Fault:
    """One fault: it meets matching calls number `nth` to `nth + times - 1`; `times` 0 means from then on for ever.

    An empty `action` matches every action, an empty `instance` every instance; `seconds` is for delay.
    """

    kind: str
    action: str = ""
    instance: str = ""
    nth: int = 1
    times: int = 1
    code: str = ""
    status: int = 0
    message: str = ""
    seconds: float = 0.0
    seen: int = 0
    fired: int = 0


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault to those in force."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._faults = []

    def meet(self, *, action: str, instance_ids: list[str]) -> list[Fault]:
        """Count a call and return the faults it meets."""
        if not self._faults:
            return []
        met = []
        with self._lock:
            for fault in self._faults:
                if fault.action and fault.action != action:
                    continue
                if fault.instance and fault.instance not in instance_ids:
                    continue
                fault.seen += 1
                if fault.seen >= fault.nth and (fault.times == 0 or fault.seen < fault.nth + fault.times):
                    fault.fired += 1
                    met.append(fault)
        return met

    def as_list(self) -> list[dict[str, Any]]:
        """Return the faults in force with how often each was seen and fired."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]


def parse_fault(raw: dict[str, Any]) -> Fault:
    """Read a fault of the control API; raise ValueError with a sentence that says what to change."""
    known = {"kind", "action", "instance", "nth", "times", "code", "status", "message", "seconds"}
    unknown = sorted(set(raw) - known)
    if unknown:
        raise ValueError(f"Unknown fields: {', '.join(unknown)}. A fault has {', '.join(sorted(known))}.")
    if raw.get("kind") not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}.")
    for name in ("nth", "times", "status"):
        value = raw.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < (1 if name == "nth" else 0):
            raise ValueError(f"{name} is a whole number, nth at least 1, the others at least 0.")
    seconds = raw.get("seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
        raise ValueError("seconds is a number from 0 to 3600.")
    for name in ("action", "instance", "code", "message"):
        if not isinstance(raw.get(name, ""), str):
            raise ValueError(f"{name} is a text.")
    if raw["kind"] == "error" and not raw.get("code"):
        raise ValueError("An error needs a code, for example InternalError or Throttling.User.")
    return Fault(**raw)
