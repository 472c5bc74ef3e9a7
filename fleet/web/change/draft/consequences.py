"""The right side of a draft: what the choices at the left lead to, for each machine and for the whole rollout."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.changes.drafting.rollout import Rollout, rollout_of, spread_of
from fleet.changes.judging.images import AccountRegion
from fleet.changes.judging.judgement import Cause, DraftJudgement
from fleet.changes.judging.refusals import DiskRequest
from fleet.guards.policy import Policy
from fleet.lib.canonical import digest
from fleet.lib.text import count
from fleet.models import Change
from fleet.web.change.draft.form import DraftForm
from fleet.web.change.draft.places import places_table
from fleet.web.change.draft.rollout_form import IN_STEPS, IN_WAVES
from fleet.web.change.draft.size_ruler import Disks, disks
from fleet.web.change.draft.window_form import IN_WINDOW

# Warnings for which leaving the machines out is a sensible answer.
LEAVE = frozenset({"same_image", "protected", "replaced_lately"})
ALL_BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason that holds for many machines.

    `ref` names the reason in the form when the machines are left out; `repairs` are (field, value, words) that mend it.
    """

    machines: int
    why: str
    do: str
    code: str
    ref: str
    repairs: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Fold:
    """A folded part of the form: its content in one line, and whether it is open because a field in it has an error."""

    name: str
    line: str
    open: bool


def consequences_context(change: Change, form: DraftForm, judgement: DraftJudgement, now: datetime) -> dict[str, Any]:
    """Return what the right side shows: counts, reasons, sizes, login, waves, worst case, and what is still missing."""
    disk_request = form.disk_request()
    ruler = disks(judgement, disk_request)
    windows = sum(
        alike.machines for alike in judgement.alike_machines if alike.image and alike.image.os_type == "windows"
    )
    policy = form.policy()
    planned = rollout(change, form, judgement, policy)
    return {
        "change": change,
        "form": form,
        "judgement": judgement,
        "disk_request": disk_request,
        "judged": bool(disk_request.image_id or change.undoes_id),
        "now": now,
        "disks": ruler,
        "reasons": [_reason(cause, ruler, disk_request) for cause in judgement.refused],
        "warnings": [_warning(cause) for cause in judgement.warned_of],
        "all_blocked": ALL_BLOCKED if len(judgement.refused) > 1 and judgement.blocked < judgement.total else "",
        "policy": policy,
        "rollout": planned,
        "unblocked": judgement.total - judgement.blocked,
        "nth": policy.failures_allowed + 1,
        "snapshot_days": form.snapshot_days_asked(),
        "windows": windows,
        "linux": judgement.total - windows,
        "missing": list(_missing(form)),
        "seen_at": judgement.seen_at or now,
        "takes": length_of(planned),
        "folds": _folds(form, policy),
        "places": places_table(judgement, disk_request.by_hand, form.choices.accounts),
    }


def rollout(change: Change, form: DraftForm, judgement: DraftJudgement, policy: Policy) -> Rollout:
    """Work out the rollout for the machines that are not blocked, or for all machines where every one is blocked."""
    blocked = [pk for cause in judgement.refused for pk in cause.targets] if judgement.blocked < judgement.total else []
    machines = judgement.total - len(blocked)
    domains = spread_of(change, policy.spread_tag, without=blocked) if policy.spread_tag else [""] * machines
    machines_in: Counter[AccountRegion] = Counter()
    for alike in judgement.alike_machines:
        machines_in[(alike.machine.account, alike.machine.region)] += alike.machines
    # Each region of an account has a quota of its own: the one with the most machines for its quota takes longest.
    quotas = form.choices.quotas
    longest = max((number / max(1, quotas[place[0]]) for place, number in machines_in.items()), default=1.0)
    return rollout_of(
        policy,
        domains=domains,
        seconds=form.choices.seconds,
        snapshot=form.snapshot_days_asked() is not None,
        imaging=change.undoes_id is not None,
        a_minute=max(1, round(judgement.total / longest)),
    )


def _folds(form: DraftForm, policy: Policy) -> dict[str, Fold]:
    """Return for each folded part its content in one line."""
    waves = {
        "at_once": "then all at once" if policy.canary else "all at once",
        "ramp": "then 1, 2, 4 and so on" if policy.canary else "1, 2, 4 and so on",
        "fixed": f"{'then ' if policy.canary else ''}waves of {policy.wave_size:,}",
    }[policy.growth]
    canary = f"a canary of {policy.canary:,}" if policy.canary else "no canary"
    hold = {"timed": f", held for {policy.hold_minutes:,} min", "person": ", held until a person says go on"}
    parts = [f"{canary}{hold.get(policy.hold, '') if policy.canary else ''}", waves]
    parts += [f"spread by {policy.spread_tag}"] if policy.spread_tag else []
    steps = [f"{step.kind} {name}" for name, step in (("before", policy.before), ("after", policy.after)) if step]
    names = dict(form.choices.calendars)
    chosen, begin, end = form.calendar_id(), form.window_of("not_before"), form.window_of("not_after")
    window = [f"while “{names.get(chosen, 'a calendar')}” is open"] if chosen else []
    window += [f"not before {begin:%d %b %Y %H:%M}"] if begin else []
    window += [f"not after {end:%d %b %Y %H:%M}"] if end else []
    lines = {
        "waves": (", ".join(parts), IN_WAVES),
        "steps": (", ".join(steps) or "none", IN_STEPS),
        "window": (", ".join(window) or "any time", IN_WINDOW),
    }
    return {name: Fold(name, line, bool(fields & form.errors.keys())) for name, (line, fields) in lines.items()}


def _missing(form: DraftForm) -> Iterator[str]:
    """Name what is still missing before the draft can be submitted."""
    settings = form.settings()
    words = {"image_id": "an image", "title": "a title", "reason": "a reason"}
    if form.change.undoes_id:
        del words["image_id"]
    yield from (word for name, word in words.items() if not getattr(settings, name).strip())
    if settings.login == "key_pair" and not settings.key_pair:
        yield "a key pair"
    if settings.login == "password" and not form.disk_request().has_password:
        yield "a password"


def _reason(cause: Cause, ruler: Disks, disk_request: DiskRequest) -> Reason:
    problem = cause.problem
    if problem.field == "key_pair" and not disk_request.key_pair:
        return Reason(cause.machines, "No key pair is chosen", "Choose one, or another way to sign in.", "", "", [])
    repairs = []
    if problem.field == "disk_size":
        least = ruler.least
        if ruler.any_allowed and problem.code != "InvalidSystemDiskSize.MoreThanMaxSize":
            repairs.append(("disk_size", str(least), f"Use {least:,} GiB for all"))
        repairs.append(("disk_size", "", "Let every disk keep its size"))
    do = problem.do
    if problem.field == "disk_size" and not ruler.any_allowed:
        do = ruler.allowed
    elif problem.code == "InvalidSystemDiskSize.ValueNotSupported" and cause.machines > 1:
        most = cause.sizes[-1]
        do = f"They have up to {most:,} GiB now. Enter {most:,} or more, or let every disk keep its size."
    return Reason(cause.machines, problem.why.rstrip("."), do, problem.api_code, ref_of(cause), repairs)


def _warning(cause: Cause) -> Reason:
    problem = cause.problem
    ref = ref_of(cause) if problem.code in LEAVE else ""
    return Reason(cause.machines, problem.why, problem.do, "", ref, [])


def ref_of(cause: Cause) -> str:
    """Return how the form names a reason: its code, and a digest that tells two sentences of one code apart."""
    return f"{cause.problem.code} {digest(cause.problem.why)[:8]}"


def targets_of(ref: str, judgement: DraftJudgement) -> dict[int, tuple[str, str]]:
    """Return the targets that a reason names, each with code and sentence; `blocked` names all that are blocked."""
    causes = list(judgement.refused)
    if ref != ALL_BLOCKED:
        causes = [cause for cause in (*causes, *judgement.warned_of) if ref in (cause.problem.code, ref_of(cause))]
    return {pk: (cause.problem.code, cause.problem.why) for cause in causes for pk in cause.targets}


def length_of(planned: Rollout) -> str:
    """Return in words how long the rollout will take."""
    seconds = planned.seconds
    if seconds < 7200:
        return f"about {count(max(1, round(seconds / 60)), 'minute')}"
    return f"about {seconds / 3600:.1f} hours"
