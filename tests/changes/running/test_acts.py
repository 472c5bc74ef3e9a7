"""The table of acts on a run: every name that anybody uses is in it, and each use case takes what its row says."""

import inspect

import pytest

from fleet.changes.permissions import RULES
from fleet.changes.running import causes
from fleet.changes.running.acts import ACTS, RunAct
from fleet.web.change.run.words import WORDS

IDS = {"change": set(), "machines": {"replacement_ids"}, "retries": {"retry_ids"}, "retry": {"retry_id"}}


def test_every_act_has_words_and_all_words_have_an_act() -> None:
    assert WORDS.keys() == ACTS.keys()


@pytest.mark.parametrize("name", ACTS)
def test_a_use_case_takes_what_the_screen_sends(name: str) -> None:
    """The screen sends a reason where it asks for one, an answer where it offers choices, and the ids of what it is done to."""
    act, words = ACTS[name], WORDS[name]
    sent = {"actor", "change_id", "now"} | IDS[act.on]
    sent |= {"reason"} if words.asks else set()
    sent |= {"serves"} if words.choices else set()
    assert inspect.signature(act.do).parameters.keys() == sent


@pytest.mark.parametrize("act", ACTS.values(), ids=lambda act: act.name)
def test_an_act_asks_for_a_permission_that_there_is(act: RunAct) -> None:
    assert act.permission in {name for rule in RULES for name in rule.acts}


def test_what_a_cause_proposes_is_an_act_on_machines() -> None:
    proposed = {
        act
        for code in causes.KNOWN
        for held_from in causes.State
        for past in (False, True)
        for act in causes.cause_of(code, "held", "", past_the_line=past, held_from=held_from).acts
    }
    assert proposed == {"look_again", "skip", "give_up", "judge", "ask_retry"}
    assert all(ACTS[name].on == "machines" for name in proposed)
