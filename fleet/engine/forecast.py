"""How long a change will take, from what was seen of earlier ones."""

from collections.abc import Mapping, Sequence

from fleet.engine.policy import Policy
from fleet.engine.results import State
from fleet.models import StepTiming

# Seconds of one machine in each state, until an account has taught us better.
USUAL: dict[str, float] = {
    State.PREPARING: 5,
    State.IMAGING: 300,
    State.BEFORE: 30,
    State.STOPPING: 35,
    State.SNAPSHOTTING: 180,
    State.REPLACING: 70,
    State.RESTORING: 5,
    State.STARTING: 45,
    State.VERIFYING: 5,
    State.AFTER: 30,
}
OPTIONAL = {State.IMAGING, State.BEFORE, State.SNAPSHOTTING, State.AFTER}


def usual_seconds(accounts: Sequence[int]) -> dict[str, float]:
    """Return the seconds that each state usually takes in these accounts, the slowest account's: one query."""
    seen = dict(USUAL)
    learnt: dict[str, float] = {}
    for state, seconds in StepTiming.objects.filter(account__in=accounts).values_list("state", "seconds"):
        learnt[state] = max(learnt.get(state, 0.0), seconds)
    return seen | learnt


def forecast(
    policy: Policy, waves: Sequence[int], seconds: Mapping[str, float], *, snapshot: bool, imaging: bool, a_minute: int
) -> float:
    """Return the seconds that waves of these sizes will take, holds by timer included, waiting for persons not.

    `a_minute` is how many ReplaceSystemDisk calls a minute the quota gives.
    """
    asked = {
        State.IMAGING: imaging,
        State.BEFORE: policy.before is not None,
        State.SNAPSHOTTING: snapshot,
        State.AFTER: policy.after is not None,
    }
    one = sum(length for state, length in seconds.items() if asked.get(State(state), True))
    total = 0.0
    for size in waves:
        rounds = -(-size // max(1, policy.max_in_flight))
        # The quota lets so many begin a minute; the last of them still takes its own time.
        total += max(rounds * one, one + 60.0 * (size - 1) // max(1, a_minute))
    if policy.hold == "timed" and policy.canary and len(waves) > 1:
        total += 60.0 * policy.hold_minutes
    return total
