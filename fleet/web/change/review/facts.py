"""The figures of a review: what can be undone, the worst case, how long it takes, its waves, and when it stops by itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.db.models import Count
from django.db.models.fields.json import KT

from fleet.changes.review.groups import Carries, Grouped
from fleet.guards.policy import Policy, PolicyStep
from fleet.guards.window import Window, late
from fleet.lib.text import count, moment
from fleet.models import Change, Login, Webhook

MOST_WAVES = 12  # rows of the table of waves


@dataclass(frozen=True, slots=True)
class Fact:
    """One of the figures that a reviewer decides by; `warned` marks its notes as warnings."""

    name: str
    figure: str
    notes: list[str]
    warned: bool = False


@dataclass(frozen=True, slots=True)
class WaveRow:
    """Consecutive waves of one size: which they are, how large, what happens after them, and what stops the change there."""

    which: str
    machines: str
    in_flight: int
    then: str
    stops: str


@dataclass(frozen=True, slots=True)
class StepWords:
    """The step that each machine goes through before or after; `text` is the command, word for word, `timeout` seconds."""

    when: str
    what: str
    text: str
    timeout: int


@dataclass(frozen=True, slots=True)
class AfterReplacement:
    """What becomes of one thing that belongs to the old disk or the old system; `good` where nothing is lost."""

    what: str
    becomes: str
    good: bool


@dataclass(frozen=True, slots=True)
class Course:
    """How a change will run: the sizes of all its waves, and the first rows of their table."""

    sizes: list[int]
    waves: list[WaveRow]
    more_waves: int


def course_of(change: Change, policy: Policy, what: Grouped) -> Course:
    """Work out the waves for these machines (no query, or one where waves are spread by a tag)."""
    sizes = [len(wave) for wave in policy.waves(_domains(change, policy, what.machines))]
    rows = list(_wave_rows(policy, sizes))
    return Course(sizes, rows[:MOST_WAVES], max(0, len(rows) - MOST_WAVES))


def _domains(change: Change, policy: Policy, machines: int) -> list[str]:
    """Return the machines' values of the tag that spreads them; only how often each occurs matters to the sizes of waves."""
    if not policy.spread_tag:
        return [""] * machines
    tag = change.targets.order_by().annotate(domain=KT(f"instance__tags__{policy.spread_tag}"))
    domains: list[str] = []
    for domain, number in tag.values_list("domain").annotate(n=Count("pk")):
        domains += [domain or ""] * number
    return domains


def _wave_rows(policy: Policy, sizes: list[int]) -> Iterator[WaveRow]:
    # Numbered as everywhere else (`waves.wave_name`): the canary, then wave 1.
    after_canary = sizes
    if policy.canary and sizes:
        then = {
            "timed": f"holds for {policy.hold_minutes:,} min, then goes on by itself",
            "person": "holds until a person lets it go on",
        }.get(policy.hold, "goes on by itself")
        yield WaveRow(
            "canary",
            f"{sizes[0]:,}",
            min(sizes[0], policy.max_in_flight),
            then if len(sizes) > 1 else "ends",
            f"failure {min(policy.canary_failures, policy.failures_allowed) + 1:,} in it",
        )
        after_canary = sizes[1:]
    number = 1
    for size, same in groupby(after_canary):
        times = len(list(same))
        last = number + times - 1
        stops = (
            f"failure {policy.wave_failures + 1:,} in a wave"
            if policy.wave_failures is not None
            else "the budget of all"
        )
        yield WaveRow(
            f"{number:,}" if times == 1 else f"{number:,}–{last:,}",
            f"{size:,}" if times == 1 else f"{times:,} × {size:,}",
            min(size, policy.max_in_flight),
            "ends" if last == len(after_canary) else "goes on by itself",
            stops,
        )
        number = last + 1


def facts(change: Change, what: Grouped, policy: Policy, course: Course, window: Window, now: datetime) -> list[Fact]:
    """Return the four figures at the top of a review: undo, worst case, length, and when it may run."""
    return [_undo(change, what), _worst(policy, what), _takes(policy, what, course, window), _when(change, window, now)]


def _undo(change: Change, what: Grouped) -> Fact:
    if change.snapshot_days is None:
        return Fact("Undo", "None", ["No snapshot is taken: nothing can be undone"], warned=True)
    days = count(change.snapshot_days, "day")
    whole = "Yes" if what.machines == 1 else f"All {what.machines:,}"
    return Fact("Undo", f"{whole}, for {days}", ["each from a snapshot of its old disk, taken before it is destroyed"])


def _worst(policy: Policy, what: Grouped) -> Fact:
    worst, of_canary = policy.worst_case(what.machines), policy.worst_case_of_canary(what.machines)
    notes = [f"before it stops by itself: failure {policy.failures_allowed + 1:,}, and what is in flight then"]
    if policy.canary and of_canary < worst:
        notes.append(f"{of_canary:,} if the canary fails already")
    return Fact("Worst case", f"{worst:,} of {what.machines:,} lost", notes)


def _takes(policy: Policy, what: Grouped, course: Course, window: Window) -> Fact:
    waves, at_once = len(course.sizes), min(policy.max_in_flight, what.machines)
    notes = [
        f"{at_once:,} at a time{f', in {waves:,} waves' if waves > 1 else ''}; one machine {duration(window.seconds_a_machine)}"
    ]
    if policy.canary and policy.hold == "person" and waves > 1:
        notes.append("and as long as a person holds the canary")
    return Fact("Takes about", duration(window.seconds), notes)


def _when(change: Change, window: Window, now: datetime) -> Fact:
    """Say when it may run: its hours now or next, the last start, and what closes it."""
    hours, notes = window.hours, []
    closed = [closing.words for closing in hours.closed]
    if hours.opens_at is None:
        return Fact("When", "Never", closed or ["Its hours are over: they do not open again."], warned=True)
    if hours.closes_at is None:
        figure = "When started" if hours.open else f"From {clock(hours.opens_at, now)}"
    elif hours.open:
        figure = "Now"
        notes.append(f"until {clock(hours.closes_at, now)}")
    else:
        figure = f"{clock(hours.opens_at, now)} – {clock(hours.closes_at, hours.opens_at)}"
    if late(window, now):
        notes.append("too late to start now: it would not be done in time")
    elif window.last_start is not None and not window.spans:
        notes.append(f"last start {clock(window.last_start, now)}")
    elif window.spans:
        notes.append("longer than its hours: it goes on in the next ones")
    notes += closed or ["an operator starts it, within 72 h of the approval"]
    return Fact("When", figure, notes, warned=any(closing.freeze for closing in hours.closed) or late(window, now))


def clock(when: datetime, now: datetime) -> str:
    """Return a moment with its clock time, also where the day is far away."""
    short = moment(when, now)
    return short if ":" in short else f"{short}, {when:%H:%M}"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: `45 s`, `38 min`, `2 h 10 min`, `3 days 4 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days {hours % 24} h" if hours % 24 else f"{hours // 24} days"


def stop_rules(policy: Policy) -> list[str]:
    """Return, in sentences, what stops the change from starting any more machines."""
    rules = [
        f"at failure {policy.failures_allowed + 1:,} in all ({count(policy.failures_allowed, 'failure')} allowed);"
        " a held machine counts as failed until somebody has decided"
    ]
    if policy.canary:
        allowed = min(policy.canary_failures, policy.failures_allowed)
        rules.append(f"at failure {allowed + 1:,} of the canary")
    if policy.wave_failures is not None:
        rules.append(f"at failure {policy.wave_failures + 1:,} in one wave")
    skipped = "for one machine, where its disk is not the one that was approved: it is skipped and keeps its system"
    if policy.skips_allowed is not None:
        skipped += f"; skip {policy.skips_allowed + 1:,} stops the change"
    rules.append(skipped)
    rules.append("on a freeze, the kill switch, or outside its hours")
    rules.append("when the approval runs out, or execution is switched off for the account")
    return rules


def steps_of(policy: Policy) -> list[StepWords]:
    """Return the steps before and after (one query where one of them is a webhook)."""
    wanted = [step.webhook for step in (policy.before, policy.after) if step and step.webhook]
    hooks = dict(Webhook.objects.filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}
    pairs = (("Before each machine", policy.before), ("After each machine", policy.after))
    return [_step(when, step, hooks) for when, step in pairs if step]


def _step(when: str, step: PolicyStep, hooks: dict[int, str]) -> StepWords:
    if step.kind == "webhook":
        return StepWords(
            when, f"the webhook {hooks.get(step.webhook or 0, 'that was removed since')}", "", step.timeout
        )
    return StepWords(when, "a command, run on the machine by Cloud Assistant", step.text, step.timeout)


def after_replacement(change: Change, carries: Carries) -> list[AfterReplacement]:
    """Return what the new disks will carry and what they will not, as the engine puts it back."""
    rows = [AfterReplacement("Everything on the system disk", "lost: programs, settings, logs, files", False)]
    if carries.snapshot_policy:
        on = count(carries.snapshot_policy, "machine")
        rows.append(AfterReplacement(f"Automatic snapshot policy, on {on}", "put back on the new disk", True))
    if carries.disk_tags:
        on = count(carries.disk_tags, "machine")
        rows.append(AfterReplacement(f"Tags of the disk, on {on}", "put back on the new disk", True))
    if carries.key_pair:
        on = count(carries.key_pair, "machine")
        if change.login == Login.IMAGE:
            rows.append(AfterReplacement(f"Key pair of now, on {on}", "bound again", True))
        elif change.login == Login.KEY_PAIR:
            rows.append(AfterReplacement(f"Key pair of now, on {on}", f"replaced by {change.key_pair} on Linux", True))
        else:
            words = "not bound again: binding it would turn the password off on Linux"
            rows.append(AfterReplacement(f"Key pair of now, on {on}", words, False))
    if carries.running:
        rows.append(
            AfterReplacement(
                f"Power, {count(carries.running, 'machine')} running", "stopped for it, started again", True
            )
        )
    if carries.stopped:
        rows.append(AfterReplacement(f"Power, {count(carries.stopped, 'machine')} stopped", "stays stopped", True))
    rows.append(AfterReplacement("Data disks, addresses, names, instance ids", "stay as they are", True))
    return rows
