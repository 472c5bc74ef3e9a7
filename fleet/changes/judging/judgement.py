"""A draft judged whole, ten thousand machines as fast as ten: the database says what counts, the rule judges what is equal once.

No row of a machine is loaded for it. A query says of each machine what a judgement looks at (`fleet.changes.judging.facts`),
times and tags already resolved, and machines that no rule can tell apart are judged once (`AlikeMachines`). Whole rows are
read for the machines that a page shows, and for no other.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import Any, TypeVar

from django.db.models import F, FloatField
from django.db.models.functions import Cast, Extract

from fleet.changes.judging.editions import EDITIONS, Edition
from fleet.changes.judging.facts import Machine, with_facts
from fleet.changes.judging.images import Place, Placed
from fleet.changes.judging.machine import Findings, Judged, around_of, judge_machine, judge_some
from fleet.changes.judging.problems import Problem
from fleet.changes.judging.refusals import DiskRequest
from fleet.changes.judging.warnings import ORDER
from fleet.models import Change, Image, Instance, Target

Key = TypeVar("Key")


@dataclass(slots=True)
class AlikeMachines:
    """Machines that no rule can tell apart: `targets` are the keys of their rows, in no order."""

    machine: Machine
    edition: Edition
    findings: Findings
    targets: list[int]

    @property
    def machines(self) -> int:
        return len(self.targets)

    @property
    def image(self) -> Image | None:
        return self.findings.image

    @property
    def size(self) -> int | None:
        return self.findings.size

    @property
    def problems(self) -> list[Problem]:
        return self.findings.problems

    @property
    def refusal(self) -> Problem | None:
        return self.findings.refusal


@dataclass(slots=True)
class Cause:
    """Many machines, one reason."""

    problem: Problem
    kinds: list[AlikeMachines] = field(default_factory=list)

    @property
    def machines(self) -> int:
        return sum(kind.machines for kind in self.kinds)

    @property
    def targets(self) -> list[int]:
        """The keys of the targets, in the order in which they were chosen."""
        return sorted(pk for kind in self.kinds for pk in kind.targets)

    @property
    def sizes(self) -> list[int]:
        """The present sizes of their disks in GiB, smallest first."""
        return sorted({kind.machine.disk_size for kind in self.kinds})


@dataclass(frozen=True, slots=True)
class DraftJudgement:
    """The whole judgement. `ready`, `warned` and `blocked` are numbers of machines and add up to `total`.

    `refused` has most machines first, `warned_of` the worst first. `places` says which image each place gets.
    `seen_at` is the oldest reading.
    """

    kinds: list[AlikeMachines]
    ready: int
    warned: int
    blocked: int
    refused: list[Cause]
    warned_of: list[Cause]
    places: dict[Place, Placed]
    seen_at: datetime | None

    @property
    def total(self) -> int:
        return self.ready + self.warned + self.blocked

    def by_field(self) -> dict[tuple[str, str, str], Cause]:
        """Gather the first thing that blocks each machine in each field, by field, code and sentence.

        The API refuses at the first; who fills in a form wants to know of every field.
        """
        found: dict[tuple[str, str, str], Cause] = {}
        for kind in self.kinds:
            seen = set()
            for problem in kind.problems:
                if problem.blocks and problem.field and problem.field not in seen:
                    seen.add(problem.field)
                    _add(found, (problem.field, problem.code, problem.why), problem, kind)
        return found


def judge_draft(*, change: Change, wish: DiskRequest, now: datetime) -> DraftJudgement:
    """Judge every machine of `change` against `wish`: at most six queries, none of which loads machines."""
    # The time as a number: ten thousand of them are read many times as fast.
    seen_at = Cast(Extract("instance__seen_at", "epoch"), FloatField())
    targets: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    oldest = inf
    for row in with_facts(change, now).annotate(target=F("pk"), seen=seen_at):
        targets[row[:-2]].append(row[-2])
        oldest = min(oldest, row[-1])
    machines = [Machine._make(facts) for facts in targets]
    around = around_of(machines, wish, now)
    kinds = [
        AlikeMachines(
            machine, EDITIONS[around.accounts[machine.account].edition], judge_machine(machine, wish, around), pks
        )
        for machine, pks in zip(machines, targets.values(), strict=True)
    ]
    return gathered(kinds, dict(around.images), datetime.fromtimestamp(oldest, UTC) if targets else None)


def gathered(kinds: list[AlikeMachines], places: dict[Place, Placed], seen_at: datetime | None) -> DraftJudgement:
    """Count, and gather machines by their reason."""
    refused: dict[tuple[str, str], Cause] = {}
    warned_of: dict[str, Cause] = {}
    total = blocked = warned = 0
    for kind in kinds:
        total += kind.machines
        if refusal := kind.refusal:
            blocked += kind.machines
            _add(refused, (refusal.code, refusal.why), refusal, kind)
        elif kind.problems:
            warned += kind.machines
            for problem in kind.problems:
                _add(warned_of, problem.code, problem, kind)
    return DraftJudgement(
        kinds=kinds,
        ready=total - blocked - warned,
        warned=warned,
        blocked=blocked,
        refused=sorted(refused.values(), key=lambda cause: (-cause.machines, cause.problem.why)),
        warned_of=sorted(warned_of.values(), key=lambda cause: ORDER[cause.problem.code]),
        places=places,
        seen_at=seen_at,
    )


def listed(
    *, change: Change, plan: DraftJudgement, wish: DiskRequest, now: datetime, start: int, limit: int
) -> list[Judged]:
    """Return a page of the machines, blocked ones first, then those with warnings: a constant number of queries."""
    ranks: tuple[list[int], list[int], list[int]] = ([], [], [])
    for kind in plan.kinds:
        ranks[0 if kind.refusal else 1 if kind.problems else 2].extend(kind.targets)
    pks = [pk for rank in ranks for pk in sorted(rank)][start : start + limit]
    rows = change.targets.select_related("instance__account").in_bulk(pks)
    # One that was left out meanwhile is not shown.
    return judge_some(change=change, targets=[rows[pk] for pk in pks if pk in rows], wish=wish, now=now)


def instances_of(targets: Iterable[int]) -> dict[int, Instance]:
    """Return the machines of these targets by the target's key: one query."""
    return {row.pk: row.instance for row in Target.objects.filter(pk__in=list(targets)).select_related("instance")}


def _add(causes: dict[Key, Cause], key: Key, problem: Problem, kind: AlikeMachines) -> None:
    causes.setdefault(key, Cause(problem)).kinds.append(kind)
