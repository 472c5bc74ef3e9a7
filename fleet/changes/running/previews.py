"""What an act on a running change would do, in numbers, before it is done; and which acts there are just now."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from fleet.changes.permissions import Act, acts_of, relation_of
from fleet.engine.codes import INCONCLUSIVE
from fleet.engine.graph import GRAPH
from fleet.engine.route import BEFORE_THE_LINE, NOTHING_SENT
from fleet.engine.waves import RunCounts, counts_of, next_wave, wave_name
from fleet.guards.policy import Policy
from fleet.guards.window import may_begin
from fleet.lib.text import count
from fleet.models import Change, ChangeState, ReplacementState, Retry, User

State = ReplacementState


@dataclass(frozen=True, slots=True)
class Effect:
    """What an act would do: in a sentence or two, and each number of it by name."""

    act: str
    words: str
    numbers: dict[str, int]


def available_acts(change: Change, user: User, now: datetime) -> dict[str, Act]:
    """Return the acts on a running change, each with whether this person may do it now and, if not, why."""
    who = relation_of(change, user)
    acts = acts_of(change, who, now)
    at = counts_of(change).whole
    found = {name: acts[name] for name in ("pause", "resume", "cancel")}
    settle, running = acts["settle_held"], acts["pause"]

    def where(there: bool, act: Act, why: str) -> Act:
        return act if there else Act(False, why, shown=False, kind="moved")

    waits = change.holds_for_person or change.hold_until is not None
    found["promote"] = where(waits, running, "The canary holds nothing back just now.")
    for name in ("look_again", "give_up", "ask_retry"):
        found[name] = where(at.held > 0, settle, "No machine is held.")
    found["skip"] = where(at.held + at.queued > 0, settle, "No machine waits or is held.")
    found["judge"] = where(at.inconclusive > 0, settle, "No step was inconclusive.")
    asked = Retry.objects.filter(replacement__change=change, replacement__state=State.HELD, agreed_at=None)
    lacking = "This needs the role approver for all of its machines. Ask an administrator."
    agree = Act(True) if who.approver else Act(False, lacking, shown=False)
    if who.approver and not asked.exclude(asked_by=user).exists():
        agree = Act(False, "You asked for this retry; another person agrees to it.", kind="forbidden")
    found["agree_retry"] = where(asked.exists(), agree, "Nobody asked for a retry.")
    tripped, wanted = change.state == ChangeState.TRIPPED, change.rest_asked
    found["ask_for_rest"] = where(
        tripped and not wanted and not change.aborted_at,
        settle,
        "It did not stop by itself, or the rest was asked for.",
    )
    if found["ask_for_rest"].allowed and at.in_flight:
        found["ask_for_rest"] = Act(False, "Machines are in flight or held. Settle them first.", kind="moved")
    found["resume_rest"] = where(
        wanted and not change.aborted_at, settle, "Nobody asked for a fresh approval of the rest."
    )
    if found["resume_rest"].allowed and change.approved_until is None:
        found["resume_rest"] = Act(False, "The rest is not approved yet.", kind="moved")
    return found


def preview(change: Change, act: str, now: datetime, replacement_ids: Sequence[int] | None = None) -> Effect:
    """Return what `act` (a name of `offers`) would do now. Raises KeyError for an act that has no effect in numbers."""
    words, numbers = _EFFECTS[act](change, counts_of(change), now, replacement_ids or ())
    return Effect(act, words, numbers)


Numbers = tuple[str, dict[str, int]]


def _moving(change: Change) -> dict[str, int]:
    untouched = NOTHING_SENT & Q(state__in=BEFORE_THE_LINE)
    rows = change.replacements.filter(state__in=list(GRAPH))
    found = rows.aggregate(brought_back=Count("pk", filter=untouched), driven_to_end=Count("pk", filter=~untouched))
    return {name: int(number) for name, number in found.items()}


def _back(numbers: dict[str, int]) -> str:
    return count(numbers["brought_back"], "machine goes back to what it was", "machines go back to what they were")


def _driven(numbers: dict[str, int]) -> str:
    number = numbers["driven_to_end"]
    return f"{number:,} past the line of no return {'is driven to its' if number == 1 else 'are driven to their'} end"


def _pause(change: Change, at: RunCounts, now: datetime, ids: Sequence[int]) -> Numbers:
    numbers = _moving(change)
    numbers["left"] = at.whole.queued + numbers["brought_back"]
    waits = count(numbers["left"], "machine waits", "machines wait")
    return f"{_back(numbers)}, and to the queue. {_driven(numbers)}. Then {waits}.", numbers


def _cancel(change: Change, at: RunCounts, now: datetime, ids: Sequence[int]) -> Numbers:
    numbers = _moving(change) | {"cancelled": at.whole.queued, "held": at.whole.held}
    never = count(numbers["cancelled"], "machine never begins", "machines never begin")
    words = f"{never}. {_back(numbers)}. {_driven(numbers)}."
    if at.whole.held:
        words += f" {count(at.whole.held, 'held machine waits', 'held machines wait')} for a person."
    return words, numbers


def _resume(change: Change, at: RunCounts, now: datetime, ids: Sequence[int]) -> Numbers:
    policy = Policy.of(change.policy)
    begin = _may_begin(change, at, at.wave(change.wave).queued, now)
    words = (
        f"{count(begin, 'machine begins', 'machines begin')} at once, {at.whole.queued - begin:,} wait for their turn."
    )
    if not begin and (why := may_begin(change, now)):
        words = f"Nothing begins yet: {why}"
    return words, {"begin": begin, "left": at.whole.queued - begin, "at_once": policy.max_in_flight}


def _promote(change: Change, at: RunCounts, now: datetime, ids: Sequence[int]) -> Numbers:
    following = next_wave(change, at)
    if following is None:
        return "Nothing is held back.", {"begin": 0, "machines": 0, "left": 0}
    begin = _may_begin(change, at, following.queued, now)
    name = wave_name(Policy.of(change.policy), following.number)
    numbers = {"begin": begin, "machines": following.queued, "left": at.whole.queued - following.queued}
    return (
        f"{name[0].upper()}{name[1:]} opens with {count(following.queued, 'machine')}; {begin:,} of them begin at once."
        f" {numbers['left']:,} more follow in later waves.",
        numbers,
    )


def _may_begin(change: Change, at: RunCounts, queued: int, now: datetime) -> int:
    if at.whole.inconclusive or may_begin(change, now):
        return 0
    return max(0, min(Policy.of(change.policy).max_in_flight - at.whole.in_flight, queued))


def _ask_for_rest(change: Change, at: RunCounts, now: datetime, ids: Sequence[int]) -> Numbers:
    numbers = {"machines": at.whole.queued, "forgiven": at.whole.failed + at.whole.skipped}
    return (
        f"Reviewers are asked to approve {count(at.whole.queued, 'machine')} afresh. The {numbers['forgiven']:,} that failed or"
        " were skipped count no more against the budgets once the rest runs.",
        numbers,
    )


def _machines(fitting: Q, words: Callable[[int, int], str]) -> Callable[..., Numbers]:
    """Return the effect of an act on single machines: how many fit, and how many of them are past the line."""

    def effect(change: Change, at: RunCounts, now: datetime, ids: Sequence[int]) -> Numbers:
        rows = change.replacements.filter(fitting, pk__in=ids)
        found = rows.aggregate(machines=Count("pk"), untouched=Count("pk", filter=NOTHING_SENT))
        numbers = {"machines": found["machines"], "past_the_line": found["machines"] - found["untouched"]}
        numbers["left"] = len(set(ids)) - numbers["machines"]
        return words(numbers["machines"], numbers["past_the_line"]), numbers

    return effect


def _give_up(machines: int, past: int) -> str:
    return (
        f"{count(machines, 'machine counts', 'machines count')} as failed: {past:,} past the line of no return, left as they"
        f" stand, so start in the console what is stopped; {machines - past:,} with the old system intact, after it runs again."
    )


HELD = Q(state=State.HELD)
_EFFECTS: dict[str, Callable[..., Numbers]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "promote": _promote,
    "ask_for_rest": _ask_for_rest,
    "resume_rest": _resume,
    "look_again": _machines(
        HELD,
        lambda machines, past: (
            f"{count(machines, 'machine is', 'machines are')} looked at again, with the same token:"
            " nothing is replaced a second time."
        ),
    ),
    "give_up": _machines(HELD, _give_up),
    "skip": _machines(
        Q(state=State.QUEUED) | HELD & NOTHING_SENT & Q(held_from__in=BEFORE_THE_LINE),
        lambda machines, past: (
            f"{count(machines, 'machine keeps its old system', 'machines keep their old system')}; that is no failure."
        ),
    ),
    "judge": _machines(
        HELD & Q(error_code=INCONCLUSIVE),
        lambda machines, past: (
            f"{count(machines, 'machine is', 'machines are')} judged; then new ones may begin again."
        ),
    ),
    "ask_retry": _machines(
        HELD & Q(first_sent_at__isnull=False, new_disk_id=""),
        lambda machines, past: (
            f"Once another person agrees, {count(machines, 'disk is', 'disks are')} replaced with a new token."
        ),
    ),
    "agree_retry": _machines(
        HELD & Q(first_sent_at__isnull=False, new_disk_id=""),
        lambda machines, past: f"{count(machines, 'machine begins', 'machines begin')} once more, with a new token.",
    ),
}
