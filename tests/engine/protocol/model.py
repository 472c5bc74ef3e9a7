"""The world around one replacement, as small values: the machine, the provider, the row, two workers, other people.

Times are seconds, as ages, so that worlds that differ only by when they began are one. They stop at `OLD`: beyond it nothing
changes any more. `NEVER` stands for an intent that is not on record.

Two things are assumed, as `fleet.engine.protocol` says: the provider remembers a token for longer than the resend window and
the life of a request, and a request leaves at once when it may (a process that is frozen between these two instructions
counts as a request on its way). A reading is one moment; where nothing was sent, one that was made just before the claim serves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fleet.engine import protocol
from fleet.engine.protocol import AfterAnswer, Answer, NextStep, Record, Seen

NEVER = -1
OLD = 3602
LEASE = 60
CALL_TIMEOUT = 20
DEADLINE = 3600

# Disks: the approved one, ours, and those of another actor, with another image or just like ours.
APPROVED, OURS, OTHER, ALIKE, NONE = "approved", "ours", "other", "alike", ""
LOOKS = {APPROVED: ("old", 40), OURS: ("new", 60), OTHER: ("else", 60), ALIKE: ("new", 60), NONE: ("", 0)}
WANTED_IMAGE, WANTED_SIZE = LOOKS[OURS]

REPLACING, STOPPING, AFTER = "replacing", "stopping", "after"
DONE, UNTOUCHED, HELD, HELD_AFTER = "done", "untouched", "held", "held after"
ACTIVE = frozenset({REPLACING, STOPPING, AFTER})

IDLE, EARLY, CLAIMING, CLAIMED, DECIDED, INTENDED, CALLING, ANSWERED = range(8)

TWICE = "a second disk was made for one replacement"
UNAPPROVED = "a disk was destroyed that nobody approved"
AGAIN = "a call left on a reading that did not show the approved disk"
FALSE_SUCCESS = "reported as done without our disk"
FALSE_UNTOUCHED = "reported as untouched, and it was replaced"
NEVER_ENDS = "it never comes to an end"


# Where a step of the protocol leads, and in how many seconds it is looked at again.
LEADS = {
    NextStep.STOP: (STOPPING, 0),
    NextStep.SKIP: (UNTOUCHED, 0),
    NextStep.RESTORE: (AFTER, 0),
    NextStep.ADOPT: (REPLACING, 0),
    **{step: (REPLACING, 10) for step in NextStep if step.name.startswith("WAIT")},
    **{step: (HELD, 0) for step in NextStep if step.name.startswith("HOLD")},
}
AGAIN_IN = {Answer.UNCLEAR: 5, Answer.THROTTLED: 60, Answer.NOT_SENT: 0}


class Call(NamedTuple):
    """A request on its way. `fair`: not long before it left, the machine had the approved disk."""

    token: int
    age: int
    fair: bool


class Row(NamedTuple):
    """The row in the database. `token` 0 is none; `due`: seconds until it may be claimed; `age` of its state.

    `called_back`: a person marked it to go back to what it was, while nothing was sent.
    """

    state: str = REPLACING
    sent: int = NEVER
    token: int = 0
    new_disk: str = NONE
    adopted: bool = False
    called_back: bool = False
    due: int = 0
    age: int = 0


class Worker(NamedTuple):
    """A process. `current`: it has the newest lease number. `what`: the number of what it decided or was answered.

    `sent`, `token` and the row's other fields are as it read them when it claimed.
    """

    phase: int = IDLE
    current: bool = False
    lease_left: int = 0
    what: int = 0
    read_age: int = 0
    fair: bool = False
    copy: Row = Row()
    token: int = 0


class Budget(NamedTuple):
    """What may still go wrong, and how often the clock may still jump."""

    faults: int = 0
    crashes: int = 0
    acts: int = 0
    jumps: int = 0
    looks: int = 0


class World(NamedTuple):
    disk: str = APPROVED
    disk_age: int = OLD
    grown: bool = False
    running: bool = False
    gate_open: bool = True
    executing: Call | None = None  # accepted, and the disk not yet exchanged
    accepted: bool = False
    tokens: tuple[tuple[int, int], ...] = ()  # (token, age) that the provider remembers
    air: tuple[Call, ...] = ()  # requests that nobody waits for
    row: Row = Row()
    workers: tuple[Worker, ...] = (Worker(), Worker())
    left: Budget = Budget()
    wrong: str = ""


@dataclass(frozen=True)
class Provider:
    """How the provider is in this run: how long it remembers a token, how late a request may arrive, how late it acts."""

    remembers: int = 1800
    request_lives: int = 900  # as long as its signature is good
    acts_late: bool = True
    jumps: tuple[int, ...] = (11, 61, 601, 1801)


@dataclass(frozen=True)
class Rules:
    """The protocol in use: the very functions of the engine, and the safeguards that surround them.

    `look_again_ends`: a row that a person gave back has a deadline again.
    `claims_at_once`: a claim reads the row back in its own transaction.
    `verifies`: the disk is compared with ours before the row is done.
    `heeds_call_back`: no intent is committed for a row that was called back.
    """

    decide: Callable[[Record, Seen], NextStep] = protocol.decide
    may_leave: Callable[[float, float], bool] = lambda age, left: protocol.may_leave(
        reading_age=age, lease_left=left, call_timeout=CALL_TIMEOUT
    )
    judge: Callable[[Answer, bool], AfterAnswer] = lambda answer, first: protocol.judge(answer, first=first)
    reads: bool = True
    keeps_token: bool = True
    commits_intent: bool = True
    guards_lease: bool = True
    claims_at_once: bool = True
    look_again_ends: bool = True
    verifies: bool = True
    heeds_call_back: bool = True


def record_of(row: Row) -> Record:
    return Record(
        approved_disk=APPROVED,
        approved_size=LOOKS[APPROVED][1],
        image=WANTED_IMAGE,
        size=WANTED_SIZE,
        sent_ago=None if row.sent == NEVER else row.sent,
        new_disk=row.new_disk,
    )


def seen_of(world: World, disk: str) -> Seen:
    """Return a reading now; `disk` NONE: in the midst of the exchange it shows none."""
    image, size = LOOKS[disk]
    return Seen(
        exists=True,
        disk=disk,
        disk_size=size + 20 if world.grown and disk else size,
        disk_image=image,
        disk_age=world.disk_age,
        ready=image == WANTED_IMAGE,
        stopped=not world.running,
    )


def land(world: World, call: Call, provider: Provider) -> tuple[World, Answer]:
    """The request arrives: return the world after it, and the answer."""
    if any(token == call.token for token, _ in world.tokens):
        # The same token: the same answer and no second effect; while the first is at work, IdempotentProcessing.
        return world, Answer.UNCLEAR if world.executing else Answer.DISK
    if world.running:
        return world, Answer.NOT_STOPPED
    known = ((call.token, 0),) if provider.remembers else ()
    world = world._replace(
        wrong=TWICE if world.accepted else world.wrong, accepted=True, executing=call, tokens=world.tokens + known
    )
    return world if provider.acts_late else exchange(world), Answer.DISK


def exchange(world: World) -> World:
    """The provider does what it accepted: the present disk is destroyed, and ours is there."""
    call = world.executing
    assert call
    lawful = world.disk == APPROVED or (world.disk in (OTHER, ALIKE) and call.fair)
    return world._replace(
        wrong=world.wrong or ("" if lawful else UNAPPROVED), disk=OURS, disk_age=0, grown=False, executing=None
    )


def is_race(world: World) -> bool:
    """Say whether the exchange under way destroys what another actor put there since the reading: not preventable."""
    return world.executing is not None and world.executing.fair and world.disk in (OTHER, ALIKE)


def jump(world: World, seconds: int, provider: Provider) -> World:
    """Let time pass. A worker that waited longer for an answer than it waits at most, waits no more."""
    air = [*world.air]
    workers = []
    for worker in world.workers:
        if worker.phase == CALLING and seconds >= CALL_TIMEOUT:
            air.append(Call(worker.token, 0, worker.fair))
            worker = worker._replace(phase=ANSWERED, what=Answer.UNCLEAR.value)
        if worker.phase == EARLY:
            worker = Worker()  # its reading is too old to serve a claim
        elif worker.phase != IDLE:
            copy = worker.copy
            worker = worker._replace(
                lease_left=max(0, worker.lease_left - seconds),
                read_age=min(OLD, worker.read_age + seconds),
                copy=copy._replace(sent=older(copy.sent, seconds), age=older(copy.age, seconds)),
            )
        workers.append(worker)
    row = world.row
    return world._replace(
        disk_age=min(OLD, world.disk_age + seconds),
        tokens=tuple((token, age + seconds) for token, age in world.tokens if age + seconds < provider.remembers),
        air=tuple(sorted(c._replace(age=c.age + seconds) for c in air if c.age + seconds <= provider.request_lives)),
        executing=world.executing and world.executing._replace(age=0),
        row=row._replace(due=max(0, row.due - seconds), sent=older(row.sent, seconds), age=older(row.age, seconds)),
        workers=in_order(workers),
    )


def older(age: int, seconds: int) -> int:
    return age if age == NEVER else min(OLD, age + seconds)


def in_order(workers: list[Worker]) -> tuple[Worker, ...]:
    """Two workers are alike: which is which makes no difference."""
    return tuple(sorted(workers))
