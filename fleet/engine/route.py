"""The way of one machine through the states: which optional ones it passes, and where the line of no return is."""

from django.db.models import Q

from fleet.engine.codes import RESTORED
from fleet.engine.results import State
from fleet.guards.policy import Policy, PolicyStep
from fleet.models import Replacement
from fleet.models.replacements import LIVE

ORDER = (*LIVE, State.DONE)
BEFORE_THE_LINE = frozenset(ORDER[: ORDER.index(State.REPLACING) + 1])
# These machines can still go back to what they were: their disk is the old one, and no call of ours is on its way.
NOTHING_SENT = Q(first_sent_at=None, new_disk_id="") & ~Q(error_code=RESTORED)


def onward(row: Replacement, state: State) -> State:
    """Return the state that follows `state` for this machine."""
    return next(later for later in ORDER[ORDER.index(state) + 1 :] if _passes(row, later))


def step_of(row: Replacement, state: State) -> PolicyStep | None:
    """Return the policy's step for this machine in BEFORE or AFTER, or None where there is none.

    A command runs on the machine itself: on one that was stopped before, and so stays stopped, none is run.
    """
    policy = Policy.of(row.change.policy)
    step = policy.before if state is State.BEFORE else policy.after
    return step if step and (step.kind == "webhook" or row.was_running) else None


def before_the_line(row: Replacement) -> bool:
    """Say whether nothing was sent for this machine, so that it can go back to what it was."""
    state = row.held_from if row.state == State.HELD else row.state
    sent = row.first_sent_at or row.new_disk_id or row.error_code == RESTORED
    return state in BEFORE_THE_LINE and not sent


def _passes(row: Replacement, state: State) -> bool:
    match state:
        case State.IMAGING:
            return bool(row.target.snapshot_id) and not row.image_id
        case State.BEFORE | State.AFTER:
            return step_of(row, state) is not None
        case State.STOPPING | State.STARTING:
            return bool(row.was_running)
        case State.SNAPSHOTTING:
            return row.change.snapshot_days is not None
        case _:
            return True
