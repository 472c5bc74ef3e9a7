"""Whatever is killed while faults rain: each machine ends replaced, untouched or held, and no disk is made twice or lost."""

import math
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.db.models import F
from django_q.tasks import async_task
from pytest_django.plugin import DjangoDbBlocker

from fleet.changes.running.controls import start
from fleet.changes.running.held_machines import give_up, look_again
from fleet.guards.policy import Policy
from fleet.lib.clock import DatabaseClock
from fleet.management.processes.child import wait_for
from fleet.management.processes.guardian import Guardian
from fleet.models import AuditEvent, Change, ChangeState, Outcome, Replacement, ReplacementState, StepTiming
from fleet.models.replacements import ENDED
from tests.support import fleets, torture
from tests.torture.installation import Installation, installed, patiently

pytestmark = [pytest.mark.process, pytest.mark.slow]

A_LAP = 20  # kills; a longer run is more laps, each with a fleet of its own
MACHINES = 240
IN_FLIGHT = 40
# In one state, though no fault is in force any more: longer than the lease of one that was killed, or a minute's quota.
STAYS = timedelta(seconds=75)
MOST_TURNS = 40
REFUSALS = (
    "Throttling.User", "ServiceUnavailable", "InternalError", "IdempotentProcessing", "InvalidOperation.Conflict",
    "DiskCreatingSnapshot", "IncorrectInstanceStatus", "OperationDenied",
)  # fmt: skip
CALLS = ("DescribeInstances", "DescribeDisks", "StopInstances", "StartInstances", "ReplaceSystemDisk")
NEW_DISK = {Outcome.SUCCEEDED, Outcome.ADOPTED, Outcome.FAILED_REPLACED}
OLD_DISK = {Outcome.FAILED_UNTOUCHED, Outcome.SKIPPED_DRIFT, Outcome.CANCELLED}


def test_whatever_is_killed_no_disk_is_made_twice_and_none_is_lost(
    session_folder: Path,
    guardian: Guardian,
    django_db_blocker: DjangoDbBlocker,
    report: Callable[[str], None],
) -> None:
    kills = torture.rounds(A_LAP)
    rng = Random(torture.seed())
    told: Counter[str] = Counter()
    for lap in range(math.ceil(kills / A_LAP)):
        folder = session_folder / f"torture-{lap}"
        with django_db_blocker.unblock(), installed(folder=folder, guardian=guardian) as installation:
            told += _lap(installation, rng, kills=min(A_LAP, kills - lap * A_LAP))
    report("rollout: " + ", ".join(f"{number:,} {what}" for what, number in sorted(told.items())))


def _lap(installation: Installation, rng: Random, *, kills: int) -> Counter[str]:
    """Replace one fleet under fire, let a person settle what is held, and compare every record with the ledger."""
    change = _running(installation)
    rows = Replacement.objects.filter(change=change)
    installation.start("worker-1", "worker-2", "runner", "web")
    told: Counter[str] = Counter()
    names = [*installation.commands, "postgres"]
    for number in range(kills):
        wait_for(what=lambda: False, seconds=rng.uniform(0.5, 2.5))
        _rain(installation, rng)
        name = names[number % len(names)] if number < len(names) else rng.choice(names)
        installation.kill(name, rng)
        told[f"kills of {name.split('-')[0]}"] += 1
        installation.mend()
        patiently(_ring_ten_times)
        if rng.random() < 0.3:
            # A claim is taken over while its owner still works on it: the slow one must find itself overtaken.
            patiently(lambda: rows.filter(leased_until__isnull=False).update(due_at=F("entered_at")))
    told["machines held for a person"] += _settled_by_a_person(installation, change, rows)
    _compare(installation, rows, told)
    return told


def _running(installation: Installation) -> Change:
    """Start a change of several hundred machines that fails and holds as many as it likes without stopping."""
    emulator = installation.emulator
    emulator.reset(instances=MACHINES, regions=["cn-shanghai"], plain=True)
    emulator.durations(stop=1, replace=3, start=1)
    emulator.call("PUT", "quotas", {"ReplaceSystemDisk": None})
    fleets.mirror(emulator)
    machines = fleets.plain(MACHINES - 10, region="cn-shanghai")
    type(machines[0].account).objects.update(replace_quota=100_000)
    policy = Policy(max_in_flight=IN_FLIGHT, failures_allowed=MACHINES)
    clock = DatabaseClock()
    image = fleets.image_named("Ubuntu 24.04", region="cn-shanghai")
    change = fleets.approved(machines, image, clock, policy=policy)
    return start(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())


def _rain(installation: Installation, rng: Random) -> None:
    """Put a few faults in force: each kind in its turn, lost answers to the irreversible call most of all."""
    faults: list[dict[str, Any]] = [
        {"kind": "commit_then_drop", "action": "ReplaceSystemDisk", "nth": rng.randint(1, 3), "times": 2},
        {"kind": "error", "code": rng.choice(REFUSALS), "action": rng.choice(CALLS), "times": rng.randint(1, 3)},
    ]
    kind = rng.choice(["delay", "drop", "commit_then_drop", "stuck", "boot_fails", "serves_not"])
    where = {"stuck": "StopInstances", "boot_fails": "ReplaceSystemDisk", "serves_not": "ReplaceSystemDisk"}
    faults.append({"kind": kind, "action": where.get(kind, rng.choice(CALLS)), "seconds": 1.5, "times": 1})
    for fault in faults:
        installation.emulator.call("POST", "faults", fault)


def _ring_ten_times() -> None:
    for _ in range(10):
        async_task("fleet.worker.tick")


def _settled_by_a_person(installation: Installation, change: Change, rows: Any) -> int:
    """Wait until only a person's work is left and do it: look again twice, then give up. Return how many were held."""
    installation.emulator.call("DELETE", "faults")
    held_how_often: Counter[int] = Counter()
    clock, person = DatabaseClock(), fleets.person("operator")
    for _ in range(MOST_TURNS):
        installation.mend()
        if not wait_for(what=lambda: patiently(lambda: _waits_for_a_person(rows)), seconds=30, every=0.3):
            # An hour later: what never stops, or never boots, has run out of its time.
            now = clock.now()
            stays = rows.filter(deadline_at__isnull=False, entered_at__lt=now - STAYS)
            stays.update(deadline_at=now, due_at=now)
            continue
        held = list(rows.filter(state=ReplacementState.HELD).values_list("pk", flat=True))
        if not held:
            break
        held_how_often.update(held)
        for act, its in (
            (look_again, [pk for pk in held if held_how_often[pk] <= 2]),
            (give_up, [pk for pk in held if held_how_often[pk] > 2]),
        ):
            if its:
                act(actor=person, change_id=change.pk, replacement_ids=its, now=clock.now())
    finished = Change.objects.filter(pk=change.pk, state=ChangeState.FINISHED)
    assert wait_for(what=lambda: patiently(finished.exists), seconds=30, every=0.3), _state(installation, rows)
    return len(held_how_often)


def _waits_for_a_person(rows: Any) -> bool:
    """Say whether nothing moves but by a person: no machine is on its way, and none can begin, as held ones take every place."""
    now_at = Counter(rows.exclude(state__in=ENDED).values_list("state", flat=True))
    queued, held = now_at.pop(ReplacementState.QUEUED, 0), now_at.pop(ReplacementState.HELD, 0)
    return not now_at and (not queued or held >= IN_FLIGHT)


def _compare(installation: Installation, rows: Any, told: Counter[str]) -> None:
    """Hold every record against the emulator's ledger, and every disk of the ledger against the trail."""
    disks = [disk for disk in installation.emulator.ledger()["disks"] if disk["how"] == "ReplaceSystemDisk"]
    made = Counter(disk["instance_id"] for disk in disks)
    for row in rows.select_related("instance"):
        outcome, number = Outcome(row.outcome), made[row.instance.instance_id]
        told[f"machines {outcome.label.lower()}"] += 1
        if outcome in NEW_DISK:
            assert number == 1, (row.pk, outcome, row.note)
        elif outcome in OLD_DISK:
            assert number == 0, (row.pk, outcome, row.note)
        else:
            assert number <= 1, (row.pk, outcome, row.note)
            assert row.note, "a machine of which nobody knows needs its evidence"
    assert set(made.values()) <= {1}
    intended = set(
        AuditEvent.objects.filter(action="instance.intended").values_list("instance__instance_id", flat=True)
    )
    known = set(
        AuditEvent.objects.filter(action__in=["instance.disk_replaced", "instance.adopted"]).values_list(
            "data__new_disk", flat=True
        )
    )
    unknown = {row.instance.instance_id for row in rows.filter(outcome=Outcome.UNKNOWN).select_related("instance")}
    for disk in disks:
        assert disk["instance_id"] in intended, disk
        assert disk["disk_id"] in known or disk["instance_id"] in unknown, disk


def _state(installation: Installation, rows: Any) -> str:
    counted = Counter(rows.values_list("state", "note"))
    pace = list(StepTiming.objects.values_list("state", "seconds"))
    return f"{counted.most_common(20)}\nusual seconds {pace}\n{installation.logs()}"
