"""What tests of runs ask and do again and again."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from fleet.engine.results import State
from fleet.lib.clock import ManualClock
from fleet.models import Account, Change, Instance, Replacement, User
from tests.support import fleets
from tests.support.emulator import Emulator

IMAGE = "Ubuntu 24.04"
FINAL = (State.DONE, State.FAILED, State.CANCELLED)


def run(machines: int | list[Instance], clock: ManualClock, *, policy: fleets.Policy, **given: Any) -> Change:
    """Return a started change of so many plain machines, or of these."""
    chosen = fleets.plain(machines) if isinstance(machines, int) else machines
    return fleets.started(chosen, fleets.image_named(IMAGE), clock, policy=policy, **given)


def operator() -> User:
    return fleets.person("operator")


def states(change: Change) -> Counter[str]:
    return Counter(change.replacements.values_list("state", flat=True))


def outcomes(change: Change) -> Counter[str]:
    return Counter(change.replacements.values_list("outcome", flat=True))


def rows(change: Change) -> QuerySet[Replacement]:
    return change.replacements.select_related("instance", "target", "change").order_by("target__position")


def history_is_whole(change: Change) -> bool:
    """Say whether the transitions of each machine lead, one after the other, from the queue to its present state."""
    for row in change.replacements.all():
        states = [State.QUEUED.value]
        for move in row.transitions.order_by("pk"):
            if move.from_state != states[-1]:
                return False
            states.append(move.to_state)
        if states[-1] != row.state:
            return False
    return True


def made(emulator: Emulator) -> list[dict[str, Any]]:
    """Return the system disks that were made by a replacement."""
    return [disk for disk in emulator.ledger()["disks"] if disk["how"] == "ReplaceSystemDisk"]


def power(machine: Instance, emulator: Emulator) -> str:
    """Return the power state that the emulator has for a machine."""
    return str(emulator.call("GET", f"instances/{machine.instance_id}")["Status"])


@contextmanager
def no_quota() -> Iterator[None]:
    """Let no ReplaceSystemDisk leave: stopped machines wait for the next minute, again and again."""
    kept = dict(Account.objects.values_list("pk", "replace_quota"))
    Account.objects.update(replace_quota=0)
    yield
    for pk, quota in kept.items():
        Account.objects.filter(pk=pk).update(replace_quota=quota)


class RunningClock(ManualClock):
    """A clock that goes on while it is looked at, and can be moved besides."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._began = time.monotonic()

    def now(self) -> datetime:
        return self.moment + timedelta(seconds=time.monotonic() - self._began)
