"""One machine judged from the mirror alone: ready, warned of, or blocked, and why.

This is the rule; `fleet.changes.judging.judgement` asks it for thousands of machines at once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from fleet.changes.judging.editions import EDITIONS, Edition
from fleet.changes.judging.facts import REPLACED, Machine, machine_of
from fleet.changes.judging.images import Place, Placed, by_hand_of, placed
from fleet.changes.judging.problems import Problem, block
from fleet.changes.judging.refusals import DiskRequest, refusals, resulting_size
from fleet.changes.judging.warnings import warnings
from fleet.models import Account, Change, Image, Instance, KeyPair, Login, MachineLock, Replacement, Snapshot, Target


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything beside machines and wish that a judgement looks at, read once for all of them.

    `key_pairs` are the places that have the key pair of the wish; `locks` go by their key, `snapshots` by account and id.
    """

    now: datetime
    accounts: Mapping[int, Account]
    images: Mapping[Place, Placed]
    key_pairs: frozenset[Place]
    locks: Mapping[int, MachineLock]
    snapshots: Mapping[tuple[int, str], Snapshot]


@dataclass(slots=True)
class Findings:
    """What becomes of a machine: the image and the size (GiB) of its new disk, and what stands against it.

    The first blocking problem is the refusal that the API would give. There are warnings only where nothing blocks.
    """

    image: Image | None
    size: int | None
    problems: list[Problem]

    @property
    def refusal(self) -> Problem | None:
        return next((problem for problem in self.problems if problem.blocks), None)


@dataclass(frozen=True, slots=True)
class Judged:
    """One machine of a change with what was found."""

    target: Target
    findings: Findings

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


def wish_of(change: Change) -> DiskRequest:
    return DiskRequest(
        image_id=change.image_id,
        size=change.disk_size,
        login=change.login,
        key_pair=change.key_pair,
        has_password=change.secret_id is not None,
        by_hand=by_hand_of(change),
    )


def surroundings(
    *, wish: DiskRequest, places: Collection[Place], locks: Iterable[int], snapshots: Collection[str], now: datetime
) -> Surroundings:
    """Read what is around machines in these places, with these locks and snapshots: at most five queries."""
    accounts = {account for account, _ in places}
    by_key_pair = KeyPair.objects.present().filter(name=wish.key_pair, account__in=accounts)
    asked = wish.login == Login.KEY_PAIR and wish.key_pair
    kept = Snapshot.objects.filter(account__in=accounts, snapshot_id__in=snapshots)
    wanted = [lock for lock in locks if lock is not None]
    return Surroundings(
        now=now,
        accounts=Account.objects.in_bulk(accounts),
        images=placed(wish.image_id, places, wish.by_hand),
        key_pairs=frozenset(by_key_pair.values_list("account_id", "region")) if asked else frozenset(),
        locks=MachineLock.objects.select_related("owner").in_bulk(wanted) if wanted else {},
        snapshots={(row.account_id, row.snapshot_id): row for row in kept} if snapshots else {},
    )


def judge_machine(machine: Machine, wish: DiskRequest, around: Surroundings) -> Findings:
    """Judge one machine: the API's refusals first, then our own blocks, and warnings only where nothing blocks."""
    place = (machine.account, machine.region)
    account = around.accounts[machine.account]
    edition = EDITIONS[account.edition]
    image = around.images[place].image
    problems: list[Problem] = []
    if machine.snapshot_id:
        image, problems = _put_back(machine, around)
    if not problems:
        names = frozenset({wish.key_pair}) if place in around.key_pairs else frozenset()
        problems = refusals(wish=wish, machine=machine, image=image, key_pairs=names, edition=edition)
    problems += _own_blocks(machine, account, around)
    if image and not problems:
        problems = warnings(wish=wish, machine=machine, image=image, edition=edition, today=around.now.date())
    size = resulting_size(wish, machine, image, edition) if image else wish.size
    return Findings(image, size, problems)


def judge_some(*, change: Change, targets: Sequence[Target], wish: DiskRequest, now: datetime) -> list[Judged]:
    """Judge some machines of a change, each by itself, in a constant number of queries. Their instances are loaded."""
    pks = [target.instance_id for target in targets]
    locks = {lock.instance_id: lock for lock in MachineLock.objects.filter(instance__in=pks, released_at=None)}
    others = Target.objects.filter(instance__in=pks, open=True).exclude(change=change)
    elsewhere = dict(others.values_list("instance_id", "change_id"))
    done = Replacement.objects.filter(instance__in=pks, outcome__in=REPLACED).order_by()
    last = dict(done.values_list("instance_id").annotate(last=Max("finished_at")))
    machines = [
        machine_of(
            target.instance,
            now=now,
            last_replaced=last.get(target.instance_id),
            elsewhere=elsewhere.get(target.instance_id),
            lock=locks.get(target.instance_id),
            snapshot_id=target.snapshot_id,
        )
        for target in targets
    ]
    around = around_of(machines, wish, now)
    return [
        Judged(target, judge_machine(machine, wish, around)) for target, machine in zip(targets, machines, strict=True)
    ]


def around_of(machines: Iterable[Machine], wish: DiskRequest, now: datetime) -> Surroundings:
    """Read what is around these machines: at most five queries."""
    places: set[Place] = set()
    locks: set[int] = set()
    snapshots: set[str] = set()
    for machine in machines:
        places.add((machine.account, machine.region))
        if machine.lock is not None:
            locks.add(machine.lock)
        if machine.snapshot_id:
            snapshots.add(machine.snapshot_id)
    return surroundings(wish=wish, places=places, locks=locks, snapshots=snapshots, now=now)


def editions_of(change: Change) -> list[Edition]:
    """Return the editions of the accounts that a change touches, in a fixed order."""
    names = Instance.objects.filter(targets__change=change).values_list("account__edition", flat=True).distinct()
    return [EDITIONS[name] for name in sorted(set(names))]


def _put_back(machine: Machine, around: Surroundings) -> tuple[Image | None, list[Problem]]:
    """Return the image that will be made of the machine's snapshot, or why it cannot be."""
    snapshot = around.snapshots.get((machine.account, machine.snapshot_id))
    if snapshot is None or snapshot.gone_at or snapshot.expires_at <= around.now:
        why = "The snapshot of its former disk is no longer kept"
        return None, [block("snapshot_gone", why, "Leave it out: what was on that disk cannot be put back.")]
    if snapshot.instance_id != machine.instance:
        why = "The snapshot to be put back was taken of another machine"
        return None, [block("snapshot_foreign", why, "Leave it out: it would get what another machine's disk held.")]
    if snapshot.ready_at is None:
        why = "The snapshot of its former disk is still being made"
        return None, [block("snapshot_unfinished", why, "Wait until it is done, or leave it out.")]
    image = Image(
        account_id=machine.account,
        region=machine.region,
        image_id=snapshot.made_image_id,
        os_type=snapshot.os_type,
        os_name=snapshot.os_name,
        architecture=snapshot.architecture or machine.architecture,
        size=snapshot.size,
        owner="self",
        status="Available",
    )
    return image, []


def _own_blocks(machine: Machine, account: Account, around: Surroundings) -> list[Problem]:
    found = []
    if machine.elsewhere is not None:
        number = machine.elsewhere
        why = f"In another open change, #{number}"
        found.append(block("open_elsewhere", why, f"Leave these out, or wait until #{number} ends."))
    if machine.lock is not None:
        found.append(_locked(around.locks[machine.lock]))
    if not account.guard_lifted and not machine.allowed:
        why = "Without the tag fleet-os=allowed"
        found.append(block("guard", why, "Tag the machine, or leave it out: this account is guarded."))
    return found


def _locked(lock: MachineLock) -> Problem:
    ends = lock.expires_at
    until = f" until {ends.day} {ends:%b %Y, %H:%M} UTC" if ends else ""
    why = f"Locked by {lock.owner}{until}: {lock.reason.rstrip('.')}"
    return block("locked", why, f"Ask {lock.owner} to release the lock, or leave these out.")
