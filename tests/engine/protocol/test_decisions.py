"""The decisions of the protocol, one by one, against what is written here: the model takes some of them for its measure."""

from dataclasses import replace

import pytest

from fleet.engine.protocol import (
    After,
    AfterAnswer,
    Answer,
    NextStep,
    Record,
    Seen,
    decide,
    judge,
    may_leave,
)

UNSENT = Record(approved_disk="d-old", approved_size=40, image="m-new", size=60)
SENT = replace(UNSENT, sent_ago=30.0)
ANSWERED = replace(SENT, new_disk="d-new")
APPROVED = Seen(exists=True, disk="d-old", disk_size=40, disk_image="m-old", disk_age=9000.0, ready=True, stopped=True)
NEW = Seen(exists=True, disk="d-new", disk_size=60, disk_image="m-new", disk_age=20.0, ready=True, stopped=True)

DECISIONS = [
    (UNSENT, APPROVED, NextStep.SEND),
    (UNSENT, replace(APPROVED, disk="d-else"), NextStep.SKIP),
    (UNSENT, replace(APPROVED, disk_size=60), NextStep.SKIP),
    (UNSENT, replace(APPROVED, disk=""), NextStep.SKIP),
    (UNSENT, replace(APPROVED, stopped=False), NextStep.STOP),
    (UNSENT, replace(APPROVED, snapshot_running=True), NextStep.WAIT_SNAPSHOT),
    (UNSENT, Seen(exists=False), NextStep.HOLD_GONE),
    (SENT, Seen(exists=False), NextStep.HOLD_GONE),
    (ANSWERED, Seen(exists=False), NextStep.HOLD_GONE),
    # A call left, and its answer is missing: the same once more, for ten minutes.
    (SENT, APPROVED, NextStep.SEND),
    (replace(SENT, sent_ago=600.0), APPROVED, NextStep.SEND),
    (replace(SENT, sent_ago=600.1), APPROVED, NextStep.HOLD_WINDOW_OVER),
    (replace(SENT, sent_ago=600.1), replace(APPROVED, disk=""), NextStep.HOLD_WINDOW_OVER),
    (SENT, replace(APPROVED, disk=""), NextStep.WAIT_SHOWN),
    (SENT, replace(APPROVED, stopped=False), NextStep.WAIT_RUNNING),
    (SENT, replace(APPROVED, snapshot_running=True), NextStep.WAIT_SNAPSHOT),
    (SENT, replace(APPROVED, disk_size=60), NextStep.HOLD_CHANGED),
    # Another disk is ours by image, size and time, or it is not provably ours.
    (SENT, NEW, NextStep.ADOPT),
    (replace(SENT, sent_ago=3000.0), NEW, NextStep.ADOPT),
    (SENT, replace(NEW, disk_age=90.0), NextStep.ADOPT),
    (replace(SENT, size=None), replace(NEW, disk_size=80), NextStep.ADOPT),
    (SENT, replace(NEW, disk_age=90.1), NextStep.HOLD_NOT_OURS),
    (SENT, replace(NEW, disk_age=None), NextStep.HOLD_NOT_OURS),
    (SENT, replace(NEW, disk_image="m-else"), NextStep.HOLD_NOT_OURS),
    (SENT, replace(NEW, disk_size=80), NextStep.HOLD_NOT_OURS),
    # The cloud answered with a disk: that one, in use, and no other.
    (ANSWERED, APPROVED, NextStep.WAIT_SHOWN),
    (ANSWERED, replace(APPROVED, disk=""), NextStep.WAIT_SHOWN),
    (ANSWERED, replace(NEW, ready=False), NextStep.WAIT_READY),
    (ANSWERED, NEW, NextStep.RESTORE),
    (ANSWERED, replace(NEW, disk="d-else"), NextStep.HOLD_ANOTHER),
]


@pytest.mark.parametrize(("record", "seen", "step"), DECISIONS)
def test_what_follows_from_record_and_reading(record: Record, seen: Seen, step: NextStep) -> None:
    assert decide(record, seen) is step


def test_every_step_is_among_the_decisions() -> None:
    assert {step for _, _, step in DECISIONS} == set(NextStep)


@pytest.mark.parametrize(
    ("age", "left", "leaves"),
    [
        (0.0, 30.0, True),
        (10.0, 25.0, True),
        (10.1, 30.0, False),
        (0.0, 24.9, False),
    ],
)
def test_a_call_leaves_on_a_fresh_reading_with_time_for_its_answer(age: float, left: float, leaves: bool) -> None:
    assert may_leave(reading_age=age, lease_left=left, call_timeout=20.0) is leaves


# For each answer what follows from it, to the first call and to a later one. "-" takes the intent back, "+" keeps it.
JUDGEMENTS = {
    Answer.DISK: ("+record", "+record"),
    Answer.UNCLEAR: ("+look_again", "+look_again"),
    Answer.NOT_SENT: ("-look_again", "+look_again"),
    Answer.CANNOT_SEND: ("-hold", "+hold"),
    Answer.THROTTLED: ("-look_again", "+look_again"),
    Answer.NOT_NOW: ("-look_again", "+hold"),
    Answer.NOT_STOPPED: ("-stop", "+hold"),
    Answer.REFUSED: ("-end", "+hold"),
    Answer.TOKEN_TAKEN: ("+hold", "+hold"),
}


@pytest.mark.parametrize("answer", list(Answer))
def test_what_follows_from_an_answer(answer: Answer) -> None:
    for first, words in zip((True, False), JUDGEMENTS[answer], strict=True):
        then, stands = After[words[1:].upper()], words[0] == "+"
        assert judge(answer, first=first) == AfterAnswer(then, intent_stands=stands)
