"""What can happen next: every step of a worker, with a crash at every boundary."""

from functools import cache
from typing import Any

from fleet.engine import protocol
from fleet.engine.protocol import After, Answer, NextStep
from tests.engine.protocol.model import (
    ACTIVE,
    AFTER,
    AGAIN,
    AGAIN_IN,
    ANSWERED,
    APPROVED,
    CALLING,
    CLAIMED,
    CLAIMING,
    DEADLINE,
    DECIDED,
    DONE,
    EARLY,
    FALSE_SUCCESS,
    HELD,
    HELD_AFTER,
    IDLE,
    INTENDED,
    LEADS,
    LEASE,
    NEVER,
    NONE,
    OURS,
    REPLACING,
    STOPPING,
    UNTOUCHED,
    Call,
    Provider,
    Row,
    Rules,
    Worker,
    World,
    in_order,
    land,
    record_of,
    seen_of,
)
from tests.engine.protocol.surroundings import Successors, others_act, provider_acts, time_passes

# What a worker can decide in other states than *replacing*; numbered apart from the steps.
OVERDUE, DRIFTED, STOPPED, STOP_ASKED, OURS_IN_USE, NOT_OURS, HOME = range(101, 108)


class Model:
    """All that can follow on a world, under these rules and with this provider."""

    def __init__(self, rules: Rules, provider: Provider) -> None:
        self.rules = rules
        self.provider = provider
        self.decide = cache(rules.decide)
        self.may_leave = cache(rules.may_leave)
        self.judge = cache(rules.judge)

    def successors(self, world: World) -> Successors:
        """Yield every next event, in words, with the world after it; nothing where the schedule is over."""
        if not world.wrong:
            yield from self._workers(world)
            yield from provider_acts(world, self.provider)
            yield from others_act(world, self.rules)
            yield from time_passes(world, self.provider)

    def _workers(self, world: World) -> Successors:
        claimable = world.row.state in ACTIVE and world.row.due == 0
        for at, worker in enumerate(world.workers):
            if at and worker == world.workers[0]:
                continue  # they are alike: what one of them does is what the other could do
            if worker.phase in (IDLE, EARLY):
                if claimable:
                    yield "claim", self._claim(world, at)
                if claimable and worker.phase == IDLE and self._nothing_sent(world.row):
                    yield "read the machine in the state before", self._read_early(world, at)
                continue
            if worker.phase == CLAIMING:
                yield "read the row back", self._with(world, at, self._claimed(worker, world.row))
            elif worker.phase == CLAIMED:
                yield "read the machine", self._read(world, at, world.disk)
                if world.executing:
                    yield "read the machine: it shows no disk", self._read(world, at, NONE)
            elif worker.phase == DECIDED:
                yield self._after_decision(world, at)
            elif worker.phase == INTENDED:
                yield self._leave(world, at)
            elif worker.phase == CALLING:
                yield from self._answers(world, at)
            elif worker.phase == ANSWERED:
                yield "commit the answer", self._settle_answer(world, at)
            if world.left.crashes:
                yield "a crash", self._crash(world, at)

    def _claim(self, world: World, at: int) -> World:
        workers = [each._replace(current=False) for each in world.workers]
        if self.rules.claims_at_once:
            workers[at] = self._claimed(workers[at], world.row)
        else:
            workers[at] = Worker(phase=CLAIMING, current=True)
        return world._replace(row=world.row._replace(due=LEASE), workers=in_order(workers))

    def _nothing_sent(self, row: Row) -> bool:
        return row.state == REPLACING and row.sent == NEVER and row.new_disk == NONE

    def _read_early(self, world: World, at: int) -> World:
        """A reading of a moment ago serves a claim, but only where nothing was sent."""
        seen = seen_of(world, world.disk)
        what = int(self.decide(record_of(Row()), seen).value)
        return self._with(world, at, Worker(phase=EARLY, what=what, fair=world.disk == APPROVED))

    def _claimed(self, worker: Worker, row: Row) -> Worker:
        if worker.phase == EARLY and self._nothing_sent(row) and not row.called_back and row.age <= DEADLINE:
            kept = Row(state=row.state, sent=row.sent, token=row.token)
            return worker._replace(phase=DECIDED, current=True, lease_left=LEASE, copy=kept)
        return Worker(phase=CLAIMED, current=True, lease_left=LEASE, copy=row._replace(due=0))

    def _read(self, world: World, at: int, disk: str) -> World:
        """Read the machine and decide: the decision is of this moment, however late it is carried out."""
        worker = world.workers[at]
        copy = worker.copy
        what = self._decision(world, copy, disk)
        # Only what is still needed is kept, so that worlds which do not differ by it are one.
        named = disk if what in (NextStep.ADOPT.value, OURS_IN_USE) else NONE
        kept = Row(state=copy.state, sent=copy.sent, token=copy.token, new_disk=named)
        decided = worker._replace(
            phase=DECIDED,
            what=what,
            fair=disk == APPROVED,
            copy=kept,
        )
        return self._with(world, at, decided)

    def _decision(self, world: World, row: Row, disk: str) -> int:
        if row.age > DEADLINE:
            return OVERDUE
        if row.called_back:
            return HOME
        if row.state == REPLACING:
            seen = seen_of(world, disk)
            if not self.rules.reads and row.new_disk == NONE:
                seen = seen_of(World(), APPROVED)
            return int(self.decide(record_of(row), seen).value)
        if row.state == AFTER:
            return OURS_IN_USE if disk == row.new_disk or not self.rules.verifies else NOT_OURS
        if disk != APPROVED or world.grown:
            return DRIFTED
        return STOP_ASKED if world.running else STOPPED

    def _after_decision(self, world: World, at: int) -> tuple[str, World]:
        worker = world.workers[at]
        if worker.what == NextStep.SEND.value:
            if world.gate_open:
                return self._intend(world, at)
            if worker.copy.sent == NEVER:
                return "a gate is closed: it goes back", self._settle(world, at, state=UNTOUCHED)
            return "a gate is closed: hold", self._settle(world, at, state=HELD)
        if worker.what == OVERDUE:
            state = {REPLACING: HELD, STOPPING: UNTOUCHED, AFTER: HELD_AFTER}[worker.copy.state]
            return "overdue", self._settle(world, at, state=state)
        if worker.what == STOP_ASKED:
            return "stop it", self._settle(world._replace(running=False), at)
        if worker.what == OURS_IN_USE and self._holds(world, worker) and worker.copy.new_disk != world.row.new_disk:
            return "done", world._replace(wrong=FALSE_SUCCESS)
        if worker.what > OVERDUE:
            ends = {DRIFTED: UNTOUCHED, HOME: UNTOUCHED, STOPPED: REPLACING, OURS_IN_USE: DONE, NOT_OURS: HELD_AFTER}
            return ends[worker.what], self._settle(world, at, state=ends[worker.what])
        step = NextStep(worker.what)
        state, due = LEADS[step]
        if step is NextStep.ADOPT:
            # The id is that of the reading: the disk may be another one by now.
            return "adopt", self._settle(world, at, new_disk=worker.copy.new_disk, adopted=True)
        return step.name.lower().replace("_", ": ", 1), self._settle(world, at, state=state, due=due)

    def _intend(self, world: World, at: int) -> tuple[str, World]:
        worker, row = world.workers[at], world.row
        sent = worker.read_age if worker.copy.sent == NEVER else worker.copy.sent
        token = worker.copy.token or 1
        if not self.rules.keeps_token:
            token = max([row.token, *(each.token for each in world.workers)]) + 1
        intended = worker._replace(phase=INTENDED, token=token)
        if not self.rules.commits_intent:
            return "intend", self._with(world, at, intended)
        if not self._holds(world, worker) or (row.called_back and self.rules.heeds_call_back):
            return "overtaken before the intent", self._with(world, at, Worker())
        world = world._replace(row=row._replace(sent=sent, token=token))
        return "commit the intent", self._with(world, at, intended)

    def _leave(self, world: World, at: int) -> tuple[str, World]:
        worker = world.workers[at]
        if not self.may_leave(worker.read_age, worker.lease_left):
            return "too late to send", self._answered(world, at, Answer.NOT_SENT)
        # Judged by what is true, and not by the rules in use.
        fair = worker.fair and protocol.may_leave(reading_age=worker.read_age, lease_left=LEASE, call_timeout=0)
        wrong = world.wrong if worker.fair or not self.rules.reads else AGAIN
        return "the call leaves", self._with(world._replace(wrong=wrong), at, worker._replace(phase=CALLING, fair=fair))

    def _answers(self, world: World, at: int) -> Successors:
        call = self._call(world, at)
        landed, answer = land(world, call, self.provider)
        yield f"it is answered: {answer.name.lower()}", self._answered(landed, at, answer)
        if world.left.faults:
            fewer = world._replace(left=world.left._replace(faults=world.left.faults - 1))
            landed = landed._replace(left=fewer.left)
            yield "its answer is lost", self._answered(landed, at, Answer.UNCLEAR)
            yield "the call is lost", self._answered(fewer, at, Answer.UNCLEAR)
            yield "it is throttled", self._answered(fewer, at, Answer.THROTTLED)
            yield "it is refused", self._answered(fewer, at, Answer.REFUSED)
            if self.provider.request_lives:
                late = fewer._replace(air=tuple(sorted((*fewer.air, call))))
                yield "the call is late", self._answered(late, at, Answer.UNCLEAR)

    def _settle_answer(self, world: World, at: int) -> World:
        worker = world.workers[at]
        answer = Answer(worker.what)
        verdict = self.judge(answer, worker.copy.sent == NEVER)
        fields: dict[str, Any] = {} if verdict.intent_stands else {"sent": NEVER}
        if not self.rules.commits_intent and verdict.intent_stands:
            fields = {"sent": worker.read_age, "token": worker.token}
        if verdict.then is After.RECORD:
            return self._settle(world, at, due=1, new_disk=OURS, **fields)
        if verdict.then is After.LOOK_AGAIN:
            return self._settle(world, at, due=AGAIN_IN[answer], **fields)
        state = {After.STOP: STOPPING, After.END: UNTOUCHED, After.HOLD: HELD}[verdict.then]
        return self._settle(world, at, state=state, **fields)

    def _settle(self, world: World, at: int, *, state: str = "", due: int = 0, **fields: Any) -> World:
        worker, row = world.workers[at], world.row
        if self._holds(world, worker):
            if state and state != row.state:
                fields |= {"state": state, "age": 0}
            world = world._replace(row=row._replace(due=due, **fields))
        return self._with(world, at, Worker())

    def _holds(self, world: World, worker: Worker) -> bool:
        return (worker.current or not self.rules.guards_lease) and world.row.state == worker.copy.state

    def _crash(self, world: World, at: int) -> World:
        if world.workers[at].phase == CALLING:
            world = world._replace(air=tuple(sorted((*world.air, self._call(world, at)))))
        world = world._replace(left=world.left._replace(crashes=world.left.crashes - 1))
        return self._with(world, at, Worker())

    def _call(self, world: World, at: int) -> Call:
        return Call(world.workers[at].token, 0, world.workers[at].fair)

    def _answered(self, world: World, at: int, answer: Answer) -> World:
        return self._with(world, at, world.workers[at]._replace(phase=ANSWERED, what=answer.value))

    def _with(self, world: World, at: int, worker: Worker) -> World:
        return world._replace(workers=in_order([worker, world.workers[1 - at]]))
