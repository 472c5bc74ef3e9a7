"""Take one safeguard out, and the check goes red. What stays green without a safeguard does not check it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from fleet.engine import protocol
from fleet.engine.protocol import RESEND_WINDOW, AfterAnswer, Answer, NextStep, Record, Seen
from tests.engine.protocol.explore import explore
from tests.engine.protocol.model import (
    AGAIN,
    FALSE_SUCCESS,
    FALSE_UNTOUCHED,
    NEVER_ENDS,
    TWICE,
    UNAPPROVED,
    Budget,
    Provider,
    Rules,
)
from tests.engine.protocol.test_model import FORGETTING, REMEMBERING, check
from tests.engine.protocol.workers import Model

ALL = Budget(faults=1, crashes=1, acts=1, jumps=1, looks=1)


def _instead(of: NextStep, step: NextStep) -> Callable[[Record, Seen], NextStep]:
    def decide(record: Record, seen: Seen) -> NextStep:
        right = protocol.decide(record, seen)
        return step if right is of else right

    return decide


def _without_window(record: Record, seen: Seen) -> NextStep:
    right = protocol.decide(record, seen)
    return (
        protocol.decide(replace(record, sent_ago=RESEND_WINDOW), seen) if right is NextStep.HOLD_WINDOW_OVER else right
    )


def _unclear_is_nothing(answer: Answer, first: bool) -> AfterAnswer:
    return protocol.judge(Answer.NOT_SENT if answer is Answer.UNCLEAR else answer, first=first)


@dataclass(frozen=True)
class Sabotage:
    without: str
    rules: Rules
    breaks: str
    provider: Provider = REMEMBERING
    budget: Budget = ALL


SABOTAGES = [
    Sabotage("the reading", Rules(reads=False), UNAPPROVED),
    Sabotage(
        "the reading, and tokens are forgotten", Rules(reads=False), TWICE, FORGETTING, Budget(crashes=1, jumps=1)
    ),
    Sabotage("the token", Rules(keeps_token=False), TWICE),
    Sabotage("the committed intent", Rules(commits_intent=False), FALSE_UNTOUCHED),
    Sabotage("the lease number", Rules(guards_lease=False), FALSE_UNTOUCHED),
    Sabotage("the resend window", Rules(decide=_without_window), TWICE),
    # The finer ones.
    Sabotage("the age of the reading", Rules(may_leave=lambda age, left: True), UNAPPROVED),
    Sabotage("never again after another disk", Rules(decide=_instead(NextStep.HOLD_NOT_OURS, NextStep.SEND)), AGAIN),
    Sabotage("the verification", Rules(verifies=False), FALSE_SUCCESS),
    Sabotage(
        "no stop after a call was sent", Rules(decide=_instead(NextStep.WAIT_RUNNING, NextStep.STOP)), FALSE_UNTOUCHED
    ),
    Sabotage(
        "no skip after a call was sent", Rules(decide=_instead(NextStep.HOLD_CHANGED, NextStep.SKIP)), FALSE_UNTOUCHED
    ),
    Sabotage(
        "a refusal proves nothing about an earlier call",
        Rules(judge=lambda answer, first: protocol.judge(answer, first=True)),
        FALSE_UNTOUCHED,
    ),
    Sabotage("an unclear answer keeps the intent", Rules(judge=_unclear_is_nothing), FALSE_UNTOUCHED),
    Sabotage("a claim is read back at once", Rules(claims_at_once=False), FALSE_UNTOUCHED),
    Sabotage("no intent once called back", Rules(heeds_call_back=False), FALSE_UNTOUCHED),
    Sabotage(
        "a deadline after a person's look", Rules(look_again_ends=False), NEVER_ENDS, budget=Budget(jumps=1, looks=1)
    ),
]


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.without)
def test_without_it_a_promise_breaks(sabotage: Sabotage) -> None:
    found = explore(Model(sabotage.rules, sabotage.provider), sabotage.budget)
    print(f"without {sabotage.without}: {found.wrong}", *found.schedule, sep="\n  ")
    assert found.wrong == sabotage.breaks
    assert found.schedule[0] == "claim"


def test_with_all_of_them_none_breaks() -> None:
    for provider, budget in {(each.provider, each.budget) for each in SABOTAGES}:
        check(provider, budget)


def test_a_token_has_to_be_remembered_longer_than_a_late_call_lives() -> None:
    """What the promise rests on: nobody's client can make up for a provider that forgets while a request is on its way."""
    found = explore(Model(Rules(), Provider(remembers=300)), Budget(crashes=1, jumps=2))
    assert found.wrong == TWICE
    assert found.schedule[-1] == "a late call arrives"
