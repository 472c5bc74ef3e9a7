"""How long a change will take, by what was learnt from earlier ones."""

from collections.abc import Mapping, Sequence

from fleet.guards.policy import Policy
from fleet.models import ReplacementState, StepTiming

# Seconds of one machine in each state, as long as nothing is learnt in an account.
USUAL: dict[str, float] = {
    ReplacementState.PREPARING: 5,
    ReplacementState.IMAGING: 300,
    ReplacementState.BEFORE: 30,
    ReplacementState.STOPPING: 35,
    ReplacementState.SNAPSHOTTING: 180,
    ReplacementState.REPLACING: 70,
    ReplacementState.RESTORING: 5,
    ReplacementState.STARTING: 45,
    ReplacementState.VERIFYING: 5,
    ReplacementState.AFTER: 30,
}


def usual_seconds(accounts: Sequence[int]) -> dict[str, float]:
    """Return the seconds that each state usually takes in the slowest of these accounts: one query."""
    seen = dict(USUAL)
    learnt: dict[str, float] = {}
    for state, seconds in StepTiming.objects.filter(account__in=accounts).values_list("state", "seconds"):
        learnt[state] = max(learnt.get(state, 0.0), seconds)
    return seen | learnt


def forecast(
    policy: Policy, waves: Sequence[int], seconds: Mapping[str, float], *, snapshot: bool, imaging: bool, a_minute: int
) -> float:
    """Return the seconds that waves of these sizes will take, with holds by a timer and without waiting for a person.

    `seconds` are those of one machine in each state; `a_minute` is the quota of ReplaceSystemDisk calls.
    """
    asked = {
        ReplacementState.IMAGING: imaging,
        ReplacementState.BEFORE: policy.before is not None,
        ReplacementState.SNAPSHOTTING: snapshot,
        ReplacementState.AFTER: policy.after is not None,
    }
    one_machine = sum(length for state, length in seconds.items() if asked.get(ReplacementState(state), True))
    total = 0.0
    for size in waves:
        rounds = -(-size // max(1, policy.max_in_flight))
        # The quota spreads the beginnings over minutes, and the last machine to begin takes its own time.
        total += max(rounds * one_machine, one_machine + 60.0 * (size - 1) // max(1, a_minute))
    if policy.hold == "timed" and policy.canary and len(waves) > 1:
        total += 60.0 * policy.hold_minutes
    return total
