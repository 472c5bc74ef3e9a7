"""The rule by which one machine is judged from the mirror alone: ready, with warnings, or blocked, and why.

`fleet.changes.judging.judgement` applies the rule to thousands of machines at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from fleet.changes.judging.editions import EDITIONS
from fleet.changes.judging.facts import REPLACED, Machine, machine_of
from fleet.changes.judging.images import AccountRegion, RegionImage, by_hand_of, images_in
from fleet.changes.judging.problems import Problem, block
from fleet.changes.judging.refusals import DiskRequest, refusals, resulting_size
from fleet.changes.judging.warnings import warnings
from fleet.models import Account, Change, Image, KeyPair, Login, MachineLock, Replacement, Snapshot, Target


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a judgement looks at beside the machines and the request, read once for all machines.

    `key_pairs` are the regions of accounts that have the requested key pair. `locks` are found by their primary key,
    `snapshots` by account and snapshot id.
    """

    now: datetime
    accounts: Mapping[int, Account]
    images: Mapping[AccountRegion, RegionImage]
    key_pairs: frozenset[AccountRegion]
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


class HasFindings:
    """Something that was judged: what was found can be read from it directly."""

    __slots__ = ()
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


@dataclass(frozen=True, slots=True)
class Judged(HasFindings):
    """One machine of a change with what was found."""

    target: Target
    findings: Findings


def disk_request_of(change: Change) -> DiskRequest:
    """Return what the change asks for, the same for all of its machines."""
    return DiskRequest(
        image_id=change.image_id,
        size=change.disk_size,
        login=change.login,
        key_pair=change.key_pair,
        has_password=change.secret_id is not None,
        by_hand=by_hand_of(change),
    )


def surroundings_of(machines: Iterable[Machine], disk_request: DiskRequest, now: datetime) -> Surroundings:
    """Read what a judgement of these machines looks at beside them: at most five queries, however many machines."""
    places: set[AccountRegion] = set()
    lock_keys: set[int] = set()
    snapshot_ids: set[str] = set()
    for machine in machines:
        places.add((machine.account, machine.region))
        if machine.lock is not None:
            lock_keys.add(machine.lock)
        if machine.snapshot_id:
            snapshot_ids.add(machine.snapshot_id)
    accounts = {account for account, _ in places}
    needs_key_pair = disk_request.login == Login.KEY_PAIR and disk_request.key_pair
    key_pairs = KeyPair.objects.present().filter(name=disk_request.key_pair, account__in=accounts)
    snapshots = Snapshot.objects.filter(account__in=accounts, snapshot_id__in=snapshot_ids)
    return Surroundings(
        now=now,
        accounts=Account.objects.in_bulk(accounts),
        images=images_in(places, disk_request.image_id, disk_request.by_hand),
        key_pairs=frozenset(key_pairs.values_list("account_id", "region")) if needs_key_pair else frozenset(),
        locks=MachineLock.objects.select_related("owner").in_bulk(lock_keys) if lock_keys else {},
        snapshots={(row.account_id, row.snapshot_id): row for row in snapshots} if snapshot_ids else {},
    )


def judge_machine(machine: Machine, disk_request: DiskRequest, surroundings: Surroundings) -> Findings:
    """Judge one machine: the API's refusals first, then our own blocks, and warnings only where nothing blocks."""
    place = (machine.account, machine.region)
    account = surroundings.accounts[machine.account]
    edition = EDITIONS[account.edition]
    image = surroundings.images[place].image
    problems: list[Problem] = []
    if machine.snapshot_id:
        image, problems = _image_of_snapshot(machine, surroundings)
    if not problems:
        key_pairs = frozenset({disk_request.key_pair}) if place in surroundings.key_pairs else frozenset()
        problems = refusals(
            disk_request=disk_request, machine=machine, image=image, key_pairs=key_pairs, edition=edition
        )
    problems += _own_blocks(machine, account, surroundings)
    if image and not problems:
        problems = warnings(
            disk_request=disk_request, machine=machine, image=image, edition=edition, today=surroundings.now.date()
        )
    size = resulting_size(disk_request, machine, image, edition) if image else disk_request.size
    return Findings(image, size, problems)


def judge_some(*, change: Change, targets: Sequence[Target], disk_request: DiskRequest, now: datetime) -> list[Judged]:
    """Judge some machines of a change, each by itself, in a constant number of queries.

    The instance of each target must be loaded already.
    """
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
    surroundings = surroundings_of(machines, disk_request, now)
    return [
        Judged(target, judge_machine(machine, disk_request, surroundings))
        for target, machine in zip(targets, machines, strict=True)
    ]


def _image_of_snapshot(machine: Machine, surroundings: Surroundings) -> tuple[Image | None, list[Problem]]:
    """Return the image that will be made of the machine's snapshot, or why it cannot be."""
    snapshot = surroundings.snapshots.get((machine.account, machine.snapshot_id))
    if snapshot is None or snapshot.gone_at or snapshot.expires_at <= surroundings.now:
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


def _own_blocks(machine: Machine, account: Account, surroundings: Surroundings) -> list[Problem]:
    found = []
    if machine.elsewhere is not None:
        number = machine.elsewhere
        why = f"In another open change, #{number}"
        found.append(block("open_elsewhere", why, f"Leave these out, or wait until #{number} ends."))
    if machine.lock is not None:
        lock = surroundings.locks[machine.lock]
        found.append(block("locked", words_of_lock(lock), f"Ask {lock.owner} to release the lock, or leave these out."))
    if not account.guard_lifted and not machine.allowed:
        why = "Without the tag fleet-os=allowed"
        found.append(block("guard", why, "Tag the machine, or leave it out: this account is guarded."))
    return found


def words_of_lock(lock: MachineLock) -> str:
    """Return `Locked by admin until 3 Nov 2025, 12:00 UTC: database migration`."""
    ends = lock.expires_at
    until = f" until {ends.day} {ends:%b %Y, %H:%M} UTC" if ends else ""
    return f"Locked by {lock.owner}{until}: {lock.reason.rstrip('.')}"
