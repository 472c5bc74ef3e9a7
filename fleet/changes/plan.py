"""A draft judged machine by machine, from the mirror alone: what is ready, what is warned of, what is blocked and why."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Max

from fleet.changes.editions import EDITIONS, Edition
from fleet.changes.problems import Problem, block
from fleet.changes.rules import Wish, refusals, resulting_size
from fleet.changes.warnings import warnings
from fleet.models import Account, Change, Image, Instance, KeyPair, Outcome, Replacement, Target

Place = tuple[int, str]  # account id and region

# Wide columns that no rule looks at: not carried for ten thousand machines.
NOT_JUDGED = (
    "seen",
    "findings",
    "leaf_digest",
    "instance__search",
    "instance__disk_tags",
    "instance__created_at",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One machine with everything that was found; the first blocking problem is the refusal that the API would give."""

    target: Target
    image: Image | None
    size: int | None
    problems: list[Problem]

    @property
    def refusal(self) -> Problem | None:
        return next((problem for problem in self.problems if problem.blocks), None)


@dataclass(slots=True)
class Cause:
    """Many machines, one reason. `detail` differs between them only in figures."""

    problem: Problem
    machines: list[Judged] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole judgement. `ready`, `warned` and `blocked` add up to all machines."""

    judged: list[Judged]
    ready: int
    warned: int
    blocked: int
    refused: list[Cause]
    warned_of: list[Cause]

    @property
    def total(self) -> int:
        return len(self.judged)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything beside machine and wish that a judgement looks at, read once for all machines."""

    images: dict[Place, Image]
    key_pairs: dict[Place, frozenset[str]]
    elsewhere: dict[int, int]
    last_replaced: dict[int, datetime]


def wish_of(change: Change) -> Wish:
    return Wish(
        image_id=change.image_id,
        size=change.disk_size,
        login=change.login,
        key_pair=change.key_pair,
        has_password=change.secret_id is not None,
    )


def judge(*, change: Change, wish: Wish, now: datetime) -> Plan:
    """Judge every machine of `change` against `wish`, in a number of queries that does not grow with the machines."""
    targets = list(change.targets.select_related("instance").defer(*NOT_JUDGED).order_by("position"))
    # Each account once, and not once a machine.
    accounts = Account.objects.in_bulk({target.instance.account_id for target in targets})
    for target in targets:
        target.instance.account = accounts[target.instance.account_id]
    mine = Target.objects.filter(change=change).values("instance")
    places = {(target.instance.account_id, target.instance.region) for target in targets}
    around = _around(change=change, wish=wish, places=places, among=mine)
    return gathered([judge_one(target=target, wish=wish, around=around, now=now) for target in targets])


def surroundings(*, change: Change, wish: Wish, instances: list[Instance]) -> Surroundings:
    """Read images, key pairs, other open changes and last replacements for these machines: four queries."""
    places = {(instance.account_id, instance.region) for instance in instances}
    return _around(change=change, wish=wish, places=places, among=[instance.pk for instance in instances])


def _around(*, change: Change, wish: Wish, places: set[Place], among: Iterable[Any]) -> Surroundings:
    accounts = {account for account, _ in places}
    images = Image.objects.filter(image_id=wish.image_id, account__in=accounts) if wish.image_id else ()
    names: dict[Place, set[str]] = {}
    for account, region, name in (
        KeyPair.objects.present().filter(account__in=accounts).values_list("account_id", "region", "name")
    ):
        names.setdefault((account, region), set()).add(name)
    others = Target.objects.filter(instance__in=among, open=True).exclude(change=change)
    done = Replacement.objects.filter(instance__in=among, outcome__in=[Outcome.SUCCEEDED, Outcome.ADOPTED])
    return Surroundings(
        images={(image.account_id, image.region): image for image in images},
        key_pairs={place: frozenset(names.get(place, ())) for place in places},
        elsewhere=dict(others.values_list("instance_id", "change_id")),
        last_replaced=dict(
            done.values("instance_id").annotate(last=Max("finished_at")).values_list("instance_id", "last")
        ),
    )


def judge_one(*, target: Target, wish: Wish, around: Surroundings, now: datetime) -> Judged:
    """Judge one machine: the API's refusals first, then our own blocks, and warnings only where nothing blocks."""
    instance = target.instance
    place = (instance.account_id, instance.region)
    image = around.images.get(place)
    edition = EDITIONS[instance.account.edition]
    problems = refusals(
        wish=wish,
        instance=instance,
        image=image,
        key_pairs=around.key_pairs.get(place, frozenset()),
        edition=edition,
        now=now,
    )
    problems += _own_blocks(instance, around)
    if image and not problems:
        problems = warnings(
            wish=wish,
            instance=instance,
            image=image,
            edition=edition,
            last_replaced=around.last_replaced.get(instance.pk),
            now=now,
        )
    size = resulting_size(wish, instance, image, edition) if image else wish.size
    return Judged(target=target, image=image, size=size, problems=problems)


def gathered(judged: list[Judged]) -> Plan:
    """Count, and gather machines by their reason: most machines first for refusals, worst first for warnings."""
    refused = _causes(((j, j.refusal) for j in judged if j.refusal), by_sentence=True)
    warned_of = _causes(((j, p) for j in judged if not j.refusal for p in j.problems), by_sentence=False)
    blocked = sum(1 for j in judged if j.refusal)
    warned = sum(1 for j in judged if j.problems and not j.refusal)
    return Plan(
        judged=judged,
        ready=len(judged) - blocked - warned,
        warned=warned,
        blocked=blocked,
        refused=sorted(refused, key=lambda cause: -len(cause.machines)),
        warned_of=warned_of,
    )


def editions_of(change: Change) -> list[Edition]:
    """Return the editions of the accounts that a change touches, in a fixed order."""
    names = Instance.objects.filter(targets__change=change).values_list("account__edition", flat=True).distinct()
    return [EDITIONS[name] for name in sorted(set(names))]


def _own_blocks(instance: Instance, around: Surroundings) -> list[Problem]:
    found = []
    if instance.pk in around.elsewhere:
        number = around.elsewhere[instance.pk]
        found.append(
            block(
                "open_elsewhere",
                f"In another open change, #{number}",
                f"Leave these out, or wait until #{number} ends.",
            )
        )
    if not instance.account.guard_lifted and instance.tags.get("fleet-os") != "allowed":
        found.append(
            block(
                "guard",
                "Without the tag fleet-os=allowed",
                "Tag the machine, or leave it out: this account is guarded.",
            )
        )
    return found


def _causes(found: Iterable[tuple[Judged, Problem | None]], *, by_sentence: bool) -> list[Cause]:
    causes: dict[tuple[str, str], Cause] = {}
    for judged, problem in found:
        if problem is not None:
            key = (problem.code, problem.why if by_sentence else "")
            causes.setdefault(key, Cause(problem)).machines.append(judged)
    return list(causes.values())
