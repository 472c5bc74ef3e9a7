"""Waves and budgets: where a change stands, when its next wave opens, and what stops it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from django.db.models import Count, Q

from fleet.engine.codes import INCONCLUSIVE
from fleet.engine.graph import FINAL, GRAPH
from fleet.engine.results import State
from fleet.guards.policy import Policy
from fleet.lib.text import count
from fleet.models import Change, Outcome, Target


@dataclass(slots=True)
class Counts:
    """Numbers of machines by what became of them.

    A held machine counts as failed and as in flight until a person has decided about it. One whose step was inconclusive is
    held too, but counts as in flight alone. `failed_lately` counts those that failed since the open wave was opened.
    """

    total: int = 0
    queued: int = 0
    in_flight: int = 0
    held: int = 0
    inconclusive: int = 0
    failed: int = 0
    failed_lately: int = 0
    skipped: int = 0
    cancelled: int = 0
    done: int = 0

    @property
    def ended(self) -> int:
        return self.total - self.queued - self.in_flight

    def add(self, other: "Counts") -> None:
        for field in fields(Counts):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass(slots=True)
class WaveCount(Counts):
    """The numbers of one wave; wave 0 is the canary where the policy has one."""

    number: int = 0

    @property
    def over(self) -> bool:
        return self.ended == self.total


@dataclass(frozen=True, slots=True)
class RunCounts:
    """The numbers of a change, by wave in order and as a whole."""

    waves: list[WaveCount]
    whole: Counts

    def wave(self, number: int) -> WaveCount:
        return next((wave for wave in self.waves if wave.number == number), WaveCount(number=number))


@dataclass(frozen=True, slots=True)
class Budget:
    """How many machines may fail, or be skipped, before the change stops by itself; `allowed` None: any number.

    `name` is whole, wave, canary or skips; `where` is its name for people, empty for the whole.
    """

    name: str
    where: str
    used: int
    allowed: int | None

    @property
    def broken(self) -> bool:
        return self.allowed is not None and self.used > self.allowed

    @property
    def sentence(self) -> str:
        """Say in words how much of it is used."""
        where = f" in {self.where}" if self.where else ""
        if self.name == "skips":
            what, may = count(self.used, "machine was skipped", "machines were skipped"), "may be"
        else:
            what, may = count(self.used, "machine failed", "machines failed"), "may"
        allowed = "any number" if self.allowed is None else f"{self.allowed:,}" if self.allowed else "none"
        return f"{what}{where}; {allowed} {may}."


def waves_of(policy: Policy, targets: Sequence[Target]) -> list[int]:
    """Return the number of the wave of each of these targets. They are in order, with their instances loaded."""
    domains = [str(target.instance.tags.get(policy.spread_tag, "")) if policy.spread_tag else "" for target in targets]
    number_of = [0] * len(targets)
    for number, places in enumerate(policy.waves(domains)):
        for place in places:
            number_of[place] = number
    return number_of


def counts_of(change: Change) -> RunCounts:
    """Count the machines of a change by wave, in one query whose answer does not grow with their number."""
    inconclusive = Q(state=State.HELD, error_code=INCONCLUSIVE)
    lately = Q(entered_at__gt=change.wave_opened_at) if change.wave_opened_at else Q()
    rows = (
        change.replacements.order_by()
        .values_list("wave", "state", "outcome")
        .annotate(
            machines=Count("pk"),
            lately=Count("pk", filter=lately & ~inconclusive),
            inconclusive=Count("pk", filter=inconclusive),
        )
    )
    waves: dict[int, WaveCount] = {}
    for number, state, outcome, machines, of_late, without_verdict in rows:
        wave = waves.setdefault(number, WaveCount(number=number))
        wave.add(_counted(state, outcome, machines, of_late, without_verdict))
    whole = Counts()
    for wave in waves.values():
        whole.add(wave)
    return RunCounts(sorted(waves.values(), key=lambda wave: wave.number), whole)


def _counted(state: str, outcome: str, machines: int, of_late: int, without_verdict: int) -> Counts:
    held = machines if state == State.HELD else 0
    end = Outcome(outcome) if outcome and state in FINAL else None
    failed = machines if end and end.is_failure else held - without_verdict
    return Counts(
        total=machines,
        queued=machines if state == State.QUEUED else 0,
        in_flight=machines if state in GRAPH or held else 0,
        held=held,
        inconclusive=without_verdict,
        failed=failed,
        failed_lately=min(of_late, failed),
        skipped=machines if end is Outcome.SKIPPED_DRIFT else 0,
        cancelled=machines if end is Outcome.CANCELLED else 0,
        done=machines if end and end.is_success else 0,
    )


def budgets(change: Change, counts: RunCounts) -> list[Budget]:
    """Return the budgets that apply now: of the whole change, of the open wave, and of skipped machines."""
    policy = Policy.of(change.policy)
    whole = counts.whole
    found = [
        Budget("whole", "", max(0, whole.failed - change.failures_forgiven), policy.failures_allowed),
    ]
    wave = counts.wave(change.wave)
    if change.wave == 0 and policy.canary:
        found.append(Budget("canary", "the canary", wave.failed_lately, policy.canary_failures))
    elif policy.wave_failures is not None:
        found.append(Budget("wave", wave_name(policy, change.wave), wave.failed_lately, policy.wave_failures))
    skipped = max(0, whole.skipped - change.skips_forgiven)
    found.append(Budget("skips", "", skipped, policy.skips_allowed))
    return found


def wave_name(policy: Policy, number: int) -> str:
    """Return the name of a wave for people: the canary, then wave 1 and so on."""
    if policy.canary:
        return "the canary" if number == 0 else f"wave {number}"
    return f"wave {number + 1}"


def advance(change: Change, counts: RunCounts, now: datetime) -> str:
    """Open the next wave where the present one is over and nothing holds it back; return what it waits for, or nothing.

    The fields of the change are set and not saved.
    """
    policy = Policy.of(change.policy)
    wave, following = counts.wave(change.wave), next_wave(change, counts)
    if wave.queued or following is None:
        return ""
    if not wave.over:
        name = wave_name(policy, following.number)
        return f"{name[0].upper()}{name[1:]} begins when {wave_name(policy, change.wave)} has ended."
    if change.wave == 0 and policy.canary and (why := _held_back(change, policy, wave, now)):
        return why
    open_wave(change, following.number, now)
    return ""


def open_wave(change: Change, number: int, now: datetime) -> None:
    """Open a wave. The fields of the change are set and not saved."""
    change.wave, change.wave_opened_at = number, now
    change.hold_until, change.holds_for_person = None, False


def next_wave(change: Change, counts: RunCounts) -> WaveCount | None:
    """Return the first later wave with queued machines, or None."""
    return next((wave for wave in counts.waves if wave.number > change.wave and wave.queued), None)


def _held_back(change: Change, policy: Policy, canary: WaveCount, now: datetime) -> str:
    if not canary.done:
        change.hold_until, change.holds_for_person = None, True
        return "No machine of the canary was replaced, so that it proves nothing. A person opens the rest, or ends it."
    if policy.hold == "person" or change.holds_for_person:
        change.holds_for_person = True
        return "The canary has ended. A person opens the rest."
    if policy.hold != "timed":
        return ""
    change.hold_until = change.hold_until or now + timedelta(minutes=policy.hold_minutes)
    if now >= change.hold_until:
        return ""
    return f"The canary has ended. The rest begins at {change.hold_until:%H:%M} UTC."
