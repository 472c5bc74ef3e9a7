"""A whole draft judged at once: ten thousand machines take hardly longer than ten.

No row of an instance is loaded for it. One query reads the facts of each machine that a judgement looks at
(`fleet.changes.judging.facts`), and machines with equal facts are judged once (`AlikeMachines`). Whole rows are read only for
the machines that a page shows.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import Any, TypeVar

from fleet.changes.judging.editions import EDITIONS, Edition
from fleet.changes.judging.facts import Machine, read_facts
from fleet.changes.judging.images import AccountRegion, RegionImage
from fleet.changes.judging.machine import Findings, HasFindings, Judged, judge_machine, judge_some, surroundings_of
from fleet.changes.judging.problems import Problem
from fleet.changes.judging.refusals import DiskRequest
from fleet.changes.judging.warnings import ORDER
from fleet.models import Change

Key = TypeVar("Key")


@dataclass(slots=True)
class AlikeMachines(HasFindings):
    """Machines that no rule can tell apart. `targets` are the primary keys of their targets, in no order."""

    machine: Machine
    edition: Edition
    findings: Findings
    targets: list[int]

    @property
    def machines(self) -> int:
        return len(self.targets)


@dataclass(slots=True)
class Cause:
    """One problem, and all machines that have it."""

    problem: Problem
    alike_machines: list[AlikeMachines] = field(default_factory=list)

    @property
    def machines(self) -> int:
        return sum(alike.machines for alike in self.alike_machines)

    @property
    def targets(self) -> list[int]:
        """The primary keys of the targets, in the order in which they were chosen."""
        return sorted(pk for alike in self.alike_machines for pk in alike.targets)

    @property
    def sizes(self) -> list[int]:
        """The present sizes of their disks in GiB, smallest first."""
        return sorted({alike.machine.disk_size for alike in self.alike_machines})


@dataclass(frozen=True, slots=True)
class DraftJudgement:
    """The judgement of a whole draft. `ready`, `warned` and `blocked` are numbers of machines and add up to `total`.

    `refused` are the causes that block machines, the one with most machines first; `warned_of` the warnings, the worst first.
    `images` are the images that the machines get in each region of each account. `seen_at` is when the mirror read the
    machine that it has not read for the longest time; None without machines.
    """

    alike_machines: list[AlikeMachines]
    ready: int
    warned: int
    blocked: int
    refused: list[Cause]
    warned_of: list[Cause]
    images: dict[AccountRegion, RegionImage]
    seen_at: datetime | None

    @property
    def total(self) -> int:
        return self.ready + self.warned + self.blocked

    def by_field(self) -> dict[tuple[str, str, str], Cause]:
        """Return the first problem that blocks each machine in each field, by field, code and sentence.

        The API refuses at the first problem of all; a person who fills in a form wants to know it of every field.
        """
        found: dict[tuple[str, str, str], Cause] = {}
        for alike in self.alike_machines:
            fields = set()
            for problem in alike.problems:
                if problem.blocks and problem.field and problem.field not in fields:
                    fields.add(problem.field)
                    _add(found, (problem.field, problem.code, problem.why), problem, alike)
        return found


def judge_draft(*, change: Change, disk_request: DiskRequest, now: datetime) -> DraftJudgement:
    """Judge every machine of `change` against `disk_request`: at most six queries, none of which loads an instance."""
    targets: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    oldest = inf
    for target, read_at, *facts in read_facts(change, now):
        targets[tuple(facts)].append(target)
        oldest = min(oldest, read_at)
    machines = [Machine._make(facts) for facts in targets]
    surroundings = surroundings_of(machines, disk_request, now)
    alike_machines = [
        AlikeMachines(
            machine,
            EDITIONS[surroundings.accounts[machine.account].edition],
            judge_machine(machine, disk_request, surroundings),
            pks,
        )
        for machine, pks in zip(machines, targets.values(), strict=True)
    ]
    seen_at = datetime.fromtimestamp(oldest, UTC) if targets else None
    return _summed_up(alike_machines, dict(surroundings.images), seen_at)


def _summed_up(
    alike_machines: list[AlikeMachines], images: dict[AccountRegion, RegionImage], seen_at: datetime | None
) -> DraftJudgement:
    """Count the machines, and gather them by their causes."""
    refused: dict[tuple[str, str], Cause] = {}
    warned_of: dict[str, Cause] = {}
    total = blocked = warned = 0
    for alike in alike_machines:
        total += alike.machines
        if refusal := alike.refusal:
            blocked += alike.machines
            _add(refused, (refusal.code, refusal.why), refusal, alike)
        elif alike.problems:
            warned += alike.machines
            for problem in alike.problems:
                _add(warned_of, problem.code, problem, alike)
    return DraftJudgement(
        alike_machines=alike_machines,
        ready=total - blocked - warned,
        warned=warned,
        blocked=blocked,
        refused=sorted(refused.values(), key=lambda cause: (-cause.machines, cause.problem.why)),
        warned_of=sorted(warned_of.values(), key=lambda cause: ORDER[cause.problem.code]),
        images=images,
        seen_at=seen_at,
    )


def list_machines(
    *, change: Change, judgement: DraftJudgement, disk_request: DiskRequest, now: datetime, start: int, limit: int
) -> list[Judged]:
    """Return a page of the machines, blocked ones first, then those with warnings: a constant number of queries.

    A machine that was left out of the draft since it was judged is not listed.
    """
    blocked, warned, ready = list[int](), list[int](), list[int]()
    for alike in judgement.alike_machines:
        (blocked if alike.refusal else warned if alike.problems else ready).extend(alike.targets)
    pks = [*sorted(blocked), *sorted(warned), *sorted(ready)][start : start + limit]
    rows = change.targets.select_related("instance__account").in_bulk(pks)
    targets = [rows[pk] for pk in pks if pk in rows]
    return judge_some(change=change, targets=targets, disk_request=disk_request, now=now)


def _add(causes: dict[Key, Cause], key: Key, problem: Problem, alike: AlikeMachines) -> None:
    causes.setdefault(key, Cause(problem)).alike_machines.append(alike)
