"""Ten thousand machines are judged as one is: the query and the single-machine rule agree on every case."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.changes.judging.judgement import DraftJudgement, judge_draft
from fleet.changes.judging.machine import Findings, judge_some
from fleet.changes.judging.problems import Problem
from fleet.changes.judging.refusals import DiskRequest
from fleet.models import (
    Account,
    Change,
    Image,
    Instance,
    KeyPair,
    MachineLock,
    Outcome,
    Replacement,
    Snapshot,
    Target,
    User,
)
from tests.support.contract import NOW, image, machine

pytestmark = pytest.mark.django_db

REGIONS = ("cn-hangzhou", "cn-beijing")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
TICK = timedelta(microseconds=1)


def mostly(normal: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Draw the normal value more often than not: a case with one fault says more than one with ten."""
    return st.sampled_from([normal] * (2 * len(others)) + list(others))


def around(*moments: timedelta) -> list[Any]:
    """Return each moment, and what is just before and behind it."""
    return [NOW + moment + step for moment in moments for step in (-TICK, TICK * 0, TICK)]


tags = st.fixed_dictionaries(
    {},
    optional={
        "fleet-os": st.sampled_from(["allowed", "Allowed", "", "no"]),
        "protected": st.sampled_from(["true", "TRUE", "yes", "Yes", "1", "0", "", "no", "ÿes"]),
        "env": st.sampled_from(["prod", "allowed"]),
    },
)
machines = st.fixed_dictionaries(
    {
        "region": st.sampled_from(REGIONS),
        "gone_at": mostly(None, NOW - DAY),
        "status": mostly("Running", "Stopped", "Pending", "Starting", "Stopping"),
        "stopped_mode": st.sampled_from(["", "KeepCharging", "StopCharging"]),
        "locks": mostly([], ["security"], ["financial"], ["Recycling"], ["Recycling", "financial"]),
        "expires_at": mostly(None, *around(timedelta(0))),
        "disk_snapshot_running": mostly(False, True),
        "io_optimized": mostly(True, False),
        "architecture": mostly("x86_64", "arm64", ""),
        "instance_type": st.sampled_from(["ecs.g7.large", "ecs.c6.large"]),
        "os_type": mostly("linux", "windows"),
        "os_name": st.sampled_from(["Ubuntu 20.04 64 bit", "CentOS 7.9 64 bit", "Windows Server 2019", ""]),
        "image_id": st.sampled_from(["m-0", "m-1", "m-2"]),
        "disk_size": st.sampled_from([0, 20, 40, 60, 100, 500]),
        "disk_category": st.sampled_from(["cloud", "cloud_essd", "cloud_auto"]),
        "disk_performance_level": st.sampled_from(["", "PL0", "PL1", "PL2"]),
        "key_pair": st.sampled_from(["", "ops", "old"]),
        "data_disks": mostly(0, 2),
        "tags": tags,
        "seen_at": st.sampled_from([NOW, *around(-5 * MINUTE)]),
    }
)
# What lies beside a machine: its other changes, its locks, its past, what it may be put back to.
beside = st.fixed_dictionaries(
    {
        "elsewhere": mostly("", "open", "closed"),
        "lock": mostly("", "open", "released", *around(timedelta(0))),
        "replaced": mostly(None, *[(at, Outcome.SUCCEEDED) for at in around(-DAY)], (NOW - DAY / 2, Outcome.ADOPTED),
                           (NOW - DAY / 2, Outcome.FAILED_UNTOUCHED), (NOW - DAY / 2, "")),
        "snapshot": mostly("", "kept", "unknown", "gone", "unfinished", *around(timedelta(0))),
    }
)  # fmt: skip
images = st.fixed_dictionaries(
    {
        "region": st.sampled_from(REGIONS),
        "image_id": st.sampled_from(["m-1", "m-2", "m-3"]),
        "name": st.sampled_from(["", "golden"]),
        "os_type": mostly("linux", "windows"),
        "os_name": st.sampled_from(["Ubuntu 24.04 64 bit", "Ubuntu 18.04 64 bit", "Windows Server 2022"]),
        "architecture": mostly("x86_64", "arm64", "i386"),
        "size": st.sampled_from([20, 40, 41, 600]),
        "owner": mostly("system", "self", "others", "marketplace"),
        "status": mostly("Available", "Deprecated", "Creating"),
        "subscribed": st.booleans(),
        "io_optimized": mostly(True, False),
        "data_disk_snapshots": mostly(False, True),
        "supported_types": mostly(None, [], ["ecs.g7.large"]),
        "gone_at": mostly(None, NOW - DAY),
    }
)
disk_requests = st.builds(
    DiskRequest,
    image_id=mostly("m-1", "", "m-2", "m-none"),
    size=mostly(None, 19, 20, 40, 60, 100, 501, 2049),
    login=st.sampled_from(["key_pair", "password", "image"]),
    key_pair=mostly("ops", "", "old", "nobody"),
    has_password=st.booleans(),
)


class World:
    """Accounts, images, machines and what lies beside them, written into the real database."""

    def __init__(self, editions: list[str], guarded: list[bool]) -> None:
        self.accounts = [
            Account.objects.create(name=f"a{place}", edition=edition, regions=REGIONS, guard_lifted=not guard)
            for place, (edition, guard) in enumerate(zip(editions, guarded, strict=True))
        ]
        self.user = User.objects.create(username="someone")
        self.change, self.other = (
            Change.objects.create(author=self.user, created_at=NOW, edited_at=NOW) for _ in range(2)
        )
        KeyPair.objects.create(account=self.accounts[0], region=REGIONS[0], name="ops", seen_at=NOW)
        KeyPair.objects.create(account=self.accounts[0], region=REGIONS[1], name="ops", seen_at=NOW, gone_at=NOW)
        KeyPair.objects.create(account=self.accounts[1], region=REGIONS[1], name="ops", seen_at=NOW)

    def add_image(self, account: int, given: dict[str, Any]) -> None:
        row = image(account=self.accounts[account], seen_at=NOW, **given)
        Image.objects.bulk_create([row], ignore_conflicts=True)

    def add_machine(self, number: int, account: int, given: dict[str, Any], near: dict[str, Any]) -> None:
        row = machine(account=self.accounts[account], instance_id=f"i-{number}", charge_type="PostPaid", **given)
        row.save()
        named = self._snapshot(row, near["snapshot"])
        Target.objects.create(change=self.change, instance=row, position=number, snapshot_id=named)
        if near["elsewhere"] or near["replaced"]:
            its = Target.objects.create(
                change=self.other, instance=row, position=number, open=near["elsewhere"] == "open"
            )
            self._replaced(its, near["replaced"])
        self._lock(row, near["lock"])

    def _replaced(self, target: Target, replaced: tuple[Any, str] | None) -> None:
        if replaced is None:
            return
        at, outcome = replaced
        row = target.instance
        Replacement.objects.create(
            target=target, change=self.other, account=row.account, instance=row, region=row.region, outcome=outcome,
            state="done", entered_at=at, finished_at=at,
        )  # fmt: skip

    def _lock(self, row: Instance, lock: Any) -> None:
        if not lock:
            return
        # An older lock that is over stands beside every one that is asked for.
        MachineLock.objects.create(instance=row, owner=self.user, reason="before", at=NOW - DAY, released_at=NOW - DAY)
        ends = None if isinstance(lock, str) else lock
        released = NOW if lock == "released" else None
        MachineLock.objects.create(
            instance=row, owner=self.user, reason="a test runs", at=NOW, expires_at=ends, released_at=released
        )

    def _snapshot(self, row: Instance, state: Any) -> str:
        if not state:
            return ""
        named = f"s-{row.instance_id}"
        if state == "unknown":
            return named
        Snapshot.objects.create(
            account=row.account, region=row.region, snapshot_id=named, instance=row, disk_id="d-0", size=50,
            os_type="linux", os_name="Ubuntu 20.04 64 bit", created_at=NOW - DAY,
            ready_at=None if state == "unfinished" else NOW, gone_at=NOW if state == "gone" else None,
            expires_at=NOW + DAY if isinstance(state, str) else state,
        )  # fmt: skip
        return named


def told(findings: Findings) -> tuple[Any, ...]:
    """Return findings as values; an image that will be made of a snapshot has no row and is equal by what it holds."""
    made = findings.image
    return findings.problems, findings.size, made and (made.pk, made.region, made.size, made.os_name, made.architecture)


def one_by_one(change: Change, disk_request: DiskRequest) -> dict[int, tuple[Any, ...]]:
    """Judge each machine alone, by the rule; by target."""
    found = {}
    for target in change.targets.select_related("instance__account"):
        (judged,) = judge_some(change=change, targets=[target], disk_request=disk_request, now=NOW)
        found[target.pk] = told(judged.findings)
    return found


def at_once(judgement: DraftJudgement) -> dict[int, tuple[Any, ...]]:
    return {pk: told(alike.findings) for alike in judgement.alike_machines for pk in alike.targets}


def with_code(alone: dict[int, tuple[Any, ...]], problem: Problem) -> list[int]:
    """Return the targets that this is the refusal of, or a warning for."""
    found = []
    for pk, (problems, _, _) in alone.items():
        refusal = next((one for one in problems if one.blocks), None)
        if refusal == problem or (refusal is None and problem in problems):
            found.append(pk)
    return sorted(found)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    disk_request=disk_requests,
    by_hand=mostly({}, {(0, REGIONS[0]): "m-2"}, {(1, REGIONS[1]): "m-3"}, {(0, REGIONS[1]): "m-none"}),
    editions=st.sampled_from([["2018", "2026"], ["2026", "2018"], ["2018", "2018"]]),
    guarded=st.lists(st.booleans(), min_size=2, max_size=2),
    shown=st.lists(st.tuples(st.integers(0, 1), images), max_size=6),
    fleet=st.lists(st.tuples(st.integers(0, 1), machines, beside), min_size=1, max_size=6),
)
def test_the_query_and_the_rule_agree(
    db: None, disk_request: DiskRequest, by_hand: Any, editions: Any, guarded: Any, shown: Any, fleet: Any
) -> None:
    with rolled_back():
        disk_request, world = arranged(disk_request, by_hand, World(editions, guarded), shown, fleet)
        alone = one_by_one(world.change, disk_request)
        judgement = judge_draft(change=world.change, disk_request=disk_request, now=NOW)

    assert at_once(judgement) == alone
    counted = [("block" if _blocks(found) else "warn" if found[0] else "ready") for found in alone.values()]
    assert [judgement.blocked, judgement.warned, judgement.ready] == [
        counted.count(word) for word in ("block", "warn", "ready")
    ]
    assert judgement.total == len(fleet)
    for cause in (*judgement.refused, *judgement.warned_of):
        assert cause.targets == with_code(alone, cause.problem)
        assert cause.machines == len(cause.targets)


def arranged(
    disk_request: DiskRequest, by_hand: Any, world: World, shown: Any, fleet: Any
) -> tuple[DiskRequest, World]:
    """Write the case into the database; what was chosen by hand is known by accounts that exist now."""
    for account, given_image in shown:
        world.add_image(account, given_image)
    for number, (account, given_machine, near) in enumerate(fleet):
        world.add_machine(number, account, given_machine, near)
    chosen = {(world.accounts[account].pk, region): named for (account, region), named in by_hand.items()}
    return replace(disk_request, by_hand=chosen), world


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _blocks(found: tuple[Any, ...]) -> bool:
    return any(problem.blocks for problem in found[0])
