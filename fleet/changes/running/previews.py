"""What an act on a running change would do, in numbers, before it is done: a function for each act.

Each takes the change, its machines counted, the time, and the ids of the replacements that the act is about, which are none
where it is about the whole change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from fleet.engine.codes import INCONCLUSIVE
from fleet.engine.graph import GRAPH
from fleet.engine.route import BEFORE_THE_LINE, NOTHING_SENT
from fleet.engine.waves import RunCounts, next_wave, wave_name
from fleet.guards.policy import Policy
from fleet.guards.window import may_begin
from fleet.lib.text import count
from fleet.models import Change, ReplacementState

State = ReplacementState


@dataclass(frozen=True, slots=True)
class Effect:
    """What an act would do: in a sentence or two, and each number of it by name."""

    words: str
    numbers: dict[str, int]


Preview = Callable[[Change, RunCounts, datetime, Sequence[int]], Effect]


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


def pause(change: Change, counted: RunCounts, now: datetime, ids: Sequence[int]) -> Effect:
    numbers = _moving(change)
    numbers["left"] = counted.whole.queued + numbers["brought_back"]
    waits = count(numbers["left"], "machine waits", "machines wait")
    return Effect(f"{_back(numbers)}, and to the queue. {_driven(numbers)}. Then {waits}.", numbers)


def cancel(change: Change, counted: RunCounts, now: datetime, ids: Sequence[int]) -> Effect:
    numbers = _moving(change) | {"cancelled": counted.whole.queued, "held": counted.whole.held}
    never = count(numbers["cancelled"], "machine never begins", "machines never begin")
    words = f"{never}. {_back(numbers)}. {_driven(numbers)}."
    if counted.whole.held:
        words += f" {count(counted.whole.held, 'held machine waits', 'held machines wait')} for a person."
    return Effect(words, numbers)


def resume(change: Change, counted: RunCounts, now: datetime, ids: Sequence[int]) -> Effect:
    policy = Policy.of(change.policy)
    begin = _may_begin(change, counted, counted.wave(change.wave).queued, now)
    words = f"{count(begin, 'machine begins', 'machines begin')} at once, {counted.whole.queued - begin:,} wait for their turn."
    if not begin and (why := may_begin(change, now)):
        words = f"Nothing begins yet: {why}"
    return Effect(words, {"begin": begin, "left": counted.whole.queued - begin, "at_once": policy.max_in_flight})


def promote(change: Change, counted: RunCounts, now: datetime, ids: Sequence[int]) -> Effect:
    following = next_wave(change, counted)
    if following is None:
        return Effect("Nothing is held back.", {"begin": 0, "machines": 0, "left": 0})
    begin = _may_begin(change, counted, following.queued, now)
    name = wave_name(Policy.of(change.policy), following.number)
    numbers = {"begin": begin, "machines": following.queued, "left": counted.whole.queued - following.queued}
    return Effect(
        f"{name[0].upper()}{name[1:]} opens with {count(following.queued, 'machine')}; {begin:,} of them begin at once."
        f" {numbers['left']:,} more follow in later waves.",
        numbers,
    )


def _may_begin(change: Change, counted: RunCounts, queued: int, now: datetime) -> int:
    if counted.whole.inconclusive or may_begin(change, now):
        return 0
    return max(0, min(Policy.of(change.policy).max_in_flight - counted.whole.in_flight, queued))


def ask_for_rest(change: Change, counted: RunCounts, now: datetime, ids: Sequence[int]) -> Effect:
    numbers = {"machines": counted.whole.queued, "forgiven": counted.whole.failed + counted.whole.skipped}
    return Effect(
        f"Reviewers are asked to approve {count(counted.whole.queued, 'machine')} afresh."
        f" The {numbers['forgiven']:,} that failed or were skipped count no more against the budgets once the rest runs.",
        numbers,
    )


def _machines(fitting: Q, words: Callable[[int, int], str]) -> Preview:
    """Return the effect of an act on single machines: how many fit, and how many of them are past the line."""

    def effect(change: Change, counted: RunCounts, now: datetime, ids: Sequence[int]) -> Effect:
        rows = change.replacements.filter(fitting, pk__in=ids)
        found = rows.aggregate(machines=Count("pk"), untouched=Count("pk", filter=NOTHING_SENT))
        numbers = {"machines": found["machines"], "past_the_line": found["machines"] - found["untouched"]}
        numbers["left"] = len(set(ids)) - numbers["machines"]
        return Effect(words(numbers["machines"], numbers["past_the_line"]), numbers)

    return effect


def _given_up(machines: int, past: int) -> str:
    return (
        f"{count(machines, 'machine counts', 'machines count')} as failed: {past:,} past the line of no return, left as they"
        f" stand, so start in the console what is stopped; {machines - past:,} with the old system intact, after it runs again."
    )


HELD = Q(state=State.HELD)
ANSWER_LOST = HELD & Q(first_sent_at__isnull=False, new_disk_id="")
look_again = _machines(
    HELD,
    lambda machines, past: (
        f"{count(machines, 'machine is', 'machines are')} looked at again, with the same token:"
        " nothing is replaced a second time."
    ),
)
give_up = _machines(HELD, _given_up)
skip = _machines(
    Q(state=State.QUEUED) | HELD & NOTHING_SENT & Q(held_from__in=BEFORE_THE_LINE),
    lambda machines, past: (
        f"{count(machines, 'machine keeps its old system', 'machines keep their old system')}; that is no failure."
    ),
)
judge = _machines(
    HELD & Q(error_code=INCONCLUSIVE),
    lambda machines, past: f"{count(machines, 'machine is', 'machines are')} judged; then new ones may begin again.",
)
ask_retry = _machines(
    ANSWER_LOST,
    lambda machines, past: (
        f"Once another person agrees, {count(machines, 'disk is', 'disks are')} replaced with a new token."
    ),
)
agree_retry = _machines(
    ANSWER_LOST,
    lambda machines, past: f"{count(machines, 'machine begins', 'machines begin')} once more, with a new token.",
)
withdraw_retry = _machines(ANSWER_LOST, lambda machines, past: "Nothing is sent; the machine stays held.")
