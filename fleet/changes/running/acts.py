"""The acts on a run, one row each: who may do it and when, what it would do, and the use case that does it.

Everything that asks for an act by its name reads this table: its button, its address, its preview and the doing. The screens
have a table of the same names with words and glyphs (`fleet.web.change.run.words`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fleet.changes.permissions import Act, acts_for
from fleet.changes.running import after_a_stop, controls, held_machines, previews, retrying
from fleet.changes.running.previews import Effect, Preview
from fleet.engine.waves import Counts, counts_of
from fleet.models import Change, ChangeState, User


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides about the acts on a run: the change, its machines counted, and the person who looks at it."""

    change: Change
    machines: Counts
    user: User


@dataclass(frozen=True, slots=True)
class RunAct:
    """One act on a run.

    `do` is the use case and `preview` what it would do. Who may do it is said by the rule called `permission` in
    `fleet.changes.permissions`. `applies` says whether there is anything to do it to just now, and `otherwise` the sentence
    where there is not. What `prevents` it is asked last, of whoever may do it. `on` is what it is done to: the change,
    machines (one or a cluster), retries (one or all that are open), or one retry.
    """

    name: str
    do: Callable[..., object]
    preview: Preview
    permission: str
    applies: Callable[[Situation], bool] = lambda at: True
    otherwise: str = ""
    prevents: Callable[[Situation], Act | None] = lambda at: None
    on: Literal["change", "machines", "retries", "retry"] = "change"

    def allowed(self, at: Situation, permissions: dict[str, Act]) -> Act:
        """Return whether it may be done now and, if not, the sentence that says why."""
        if not self.applies(at):
            return Act(False, self.otherwise, shown=False, kind="moved")
        permission = permissions[self.permission]
        return (self.prevents(at) or permission) if permission.allowed else permission


def _canary_holds(at: Situation) -> bool:
    return at.change.holds_for_person or at.change.hold_until is not None


def _can_ask_for_rest(at: Situation) -> bool:
    change = at.change
    return change.state == ChangeState.TRIPPED and not change.rest_asked and not change.aborted_at


def _machines_in_flight(at: Situation) -> Act | None:
    moving = at.machines.in_flight
    return Act(False, "Machines are in flight or held. Settle them first.", kind="moved") if moving else None


def _rest_not_approved(at: Situation) -> Act | None:
    waits = at.change.approved_until is None
    return Act(False, "The rest is not approved yet.", kind="moved") if waits else None


def _all_retries_are_ones_own(at: Situation) -> Act | None:
    if retrying.open_retries(at.change).exclude(asked_by=at.user).exists():
        return None
    return Act(False, "You asked for this retry; another person agrees to it.", kind="forbidden")


def _on_held(
    name: str, do: Callable[..., object], preview: Preview, on: Literal["machines", "retry"] = "machines"
) -> RunAct:
    return RunAct(name, do, preview, "act_on_held", lambda at: at.machines.held > 0, "No machine is held.", on=on)


ACTS: dict[str, RunAct] = {
    act.name: act
    for act in (
        RunAct("pause", controls.pause, previews.pause, "pause"),
        RunAct("resume", controls.resume, previews.resume, "resume"),
        RunAct("cancel", controls.cancel, previews.cancel, "cancel"),
        RunAct(
            "promote",
            controls.promote,
            previews.promote,
            "pause",
            _canary_holds,
            "The canary holds nothing back just now.",
        ),
        RunAct(
            "ask_for_rest",
            after_a_stop.ask_for_rest,
            previews.ask_for_rest,
            "act_on_held",
            _can_ask_for_rest,
            "It did not stop by itself, or the rest was asked for.",
            _machines_in_flight,
        ),
        RunAct(
            "resume_rest",
            after_a_stop.resume_rest,
            previews.resume,
            "act_on_held",
            lambda at: at.change.rest_asked and not at.change.aborted_at,
            "Nobody asked for a fresh approval of the rest.",
            _rest_not_approved,
        ),
        _on_held("look_again", held_machines.look_again, previews.look_again),
        _on_held("give_up", held_machines.give_up, previews.give_up),
        RunAct(
            "skip",
            held_machines.skip,
            previews.skip,
            "act_on_held",
            lambda at: at.machines.held + at.machines.queued > 0,
            "No machine waits or is held.",
            on="machines",
        ),
        RunAct(
            "judge",
            held_machines.judge_inconclusive,
            previews.judge,
            "act_on_held",
            lambda at: at.machines.inconclusive > 0,
            "No step was inconclusive.",
            on="machines",
        ),
        _on_held("ask_retry", retrying.ask_retries, previews.ask_retry),
        RunAct(
            "agree_retry",
            retrying.agree_retries,
            previews.agree_retry,
            "agree_retry",
            lambda at: retrying.open_retries(at.change).exists(),
            "Nobody asked for a retry.",
            _all_retries_are_ones_own,
            on="retries",
        ),
        _on_held("withdraw_retry", retrying.withdraw_retry, previews.withdraw_retry, on="retry"),
    )
}


def available_acts(change: Change, user: User, now: datetime) -> dict[str, Act]:
    """Return every act on a run, with whether this person may do it now and, if not, the sentence that says why."""
    permissions = acts_for(change, user, now)
    at = Situation(change, counts_of(change).whole, user)
    return {name: act.allowed(at, permissions) for name, act in ACTS.items()}


def preview(change: Change, name: str, now: datetime, replacement_ids: Sequence[int] = ()) -> Effect:
    """Return what the act of this name would do now. Raises KeyError where there is no such act."""
    return ACTS[name].preview(change, counts_of(change), now, replacement_ids)
