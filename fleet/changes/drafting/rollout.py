"""A rollout before it runs: what is wrong with its policy, and what the policy means for so many machines in whole numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db.models import Count, F, Func, TextField, Value

from fleet.guards.forecast import forecast
from fleet.guards.policy import Policy, PolicyStep
from fleet.models import Change

MOST_GROUPS = 7  # as many groups of equal waves are written out
# The limits of a policy, whether it is typed in a form or read from a file.
LONGEST_HOLD = 7 * 24 * 60  # minutes
LONGEST_STOP = 24 * 60  # minutes
SHORTEST_STEP, LONGEST_STEP = 10, 24 * 3600  # seconds
MOST_TEXT = 8000  # characters of a command; Cloud Assistant takes 18 KB in Base64


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a policy means for so many `machines`.

    `waves` are the sizes of the waves in order, the canary first where there is one. `worst` and `worst_of_canary` are how many
    machines can be lost before the change stops by itself. `seconds` is the forecast of how long it will take.
    """

    machines: int
    waves: list[int]
    worst: int
    worst_of_canary: int
    seconds: float

    @property
    def words(self) -> str:
        """The sizes of the waves in words."""
        return waves_in_words(self.waves)


def rollout_of(
    policy: Policy,
    *,
    domains: Sequence[str],
    seconds: Mapping[str, float],
    snapshot: bool,
    imaging: bool,
    a_minute: int,
) -> Rollout:
    """Work out a policy for the machines whose values of the spread tag are `domains`; "" is a machine without the tag.

    `seconds` say how long a machine usually stays in each state; `a_minute` is how many replacements may begin in a minute.
    """
    machines = len(domains)
    waves = [len(wave) for wave in policy.waves(domains)]
    return Rollout(
        machines=machines,
        waves=waves,
        worst=policy.worst_case(machines),
        worst_of_canary=policy.worst_case_of_canary(machines),
        seconds=forecast(policy, waves, seconds, snapshot=snapshot, imaging=imaging, a_minute=a_minute),
    )


def spread_of(change: Change, tag: str, *, without: Sequence[int]) -> list[str]:
    """Return the value of a tag on each machine of a change, in no order; "" for a machine without the tag: one query.

    `without` are the primary keys of targets that do not count.
    """
    value = Func(F("instance__tags"), Value(tag), function="jsonb_extract_path_text", output_field=TextField())
    rows = change.targets.order_by().exclude(pk__in=without).annotate(value=value)
    counted = rows.values_list("value").annotate(machines=Count("pk"))
    return [value or "" for value, machines in counted for _ in range(machines)]


def waves_in_words(sizes: Sequence[int]) -> str:
    """Return sizes of waves as `1 → 10 → 9 × 100 → 44`; more than seven groups are shortened in the middle."""
    groups = [(size, len(list(same))) for size, same in groupby(sizes)]
    words = [f"{size:,}" if times == 1 else f"{times:,} × {size:,}" for size, times in groups]
    if len(words) > MOST_GROUPS:
        words = [*words[: MOST_GROUPS - 2], "…", words[-1]]
    return " → ".join(words)


def policy_faults(policy: Policy) -> list[tuple[str, str, str]]:
    """Return what does not fit together in a policy: the field, what is wrong, and what to do."""
    found = []
    if policy.hold == "timed" and not policy.hold_minutes:
        found.append(("hold_minutes", "The hold has no length.", "Enter minutes, or hold until a person says go on."))
    if policy.growth == "fixed" and not policy.wave_size:
        found.append(("wave_size", "The waves have no size.", "Enter how many machines a wave has."))
    for name, step in (("before", policy.before), ("after", policy.after)):
        found += _step_faults(name, step)
    return found


def _step_faults(name: str, step: PolicyStep | None) -> list[tuple[str, str, str]]:
    if step is None:
        return []
    if step.kind == "command" and not step.text.strip():
        return [(f"{name}_text", "The command is empty.", "Type what is to run on each machine, or choose no step.")]
    if step.kind == "webhook" and step.webhook is None:
        return [(f"{name}_webhook", "No webhook is chosen.", "Choose a registered one, or choose no step.")]
    return []
