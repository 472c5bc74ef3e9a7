"""The replacement protocol as pure decisions: what follows from what is on record and what is seen.

Nothing here reads, waits or sends; `handlers/replacing`, `sending` and `answers` do. `tests/engine/protocol` checks these
functions against every order in which things can happen.

Five safeguards hold it up. The **reading**: no call leaves before the approved disk was seen, at most ten seconds earlier.
The **token**: every sending of one replacement is the same call to the provider. The **intent**: token and time of the first
sending are on disk before the call leaves. The **lease number**: whoever was overtaken writes nothing. The **resend window**:
an unanswered call is repeated for ten minutes, far less than a token is remembered, and after that only looked for.

It rests on the provider remembering a token for longer than the resend window and the life of a request on its way (its
signature is good for 15 minutes). All times are seconds.
"""

from dataclasses import dataclass
from enum import Enum, auto

RESEND_WINDOW = 600.0
READING_LASTS = 10.0
LEASE_RESERVE = 5.0  # beyond the call's own timeout
# How far our clock and the provider's may differ. The reading just before the intent still showed the approved disk, so that
# no older disk can be mistaken for ours.
CLOCKS_APART = 60.0


@dataclass(frozen=True, slots=True)
class Record:
    """What is on record about one replacement; sizes are GiB.

    `size` None is the provider's default. `sent_ago` is the age of the committed intent; None means that no call of ours
    was carried out, and none is on its way. `new_disk` is the disk that the cloud's answer named, or that was adopted.
    """

    approved_disk: str
    approved_size: int
    image: str
    size: int | None
    sent_ago: float | None = None
    new_disk: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reading showed of the machine. `disk` is empty where it shows no system disk.

    `disk_age` counts from the disk's creation by the provider's clock, None where it is not shown. `ready`: the disk is
    in use, the machine has the image asked for and no lock.
    """

    exists: bool
    disk: str = ""
    disk_size: int = 0
    disk_image: str = ""
    disk_age: float | None = None
    ready: bool = False
    stopped: bool = False
    snapshot_running: bool = False


class NextStep(Enum):
    """What to do next with a machine in the state *replacing*."""

    SEND = auto()  # the call may leave: the first one, or the same once more with the same token
    STOP = auto()  # nothing was sent, and it runs
    SKIP = auto()  # nothing was sent, and the machine is not as it was approved
    WAIT_SNAPSHOT = auto()
    WAIT_RUNNING = auto()  # it runs while a call may still be carried out: it is read again, and nothing is asked of it
    WAIT_SHOWN = auto()  # the old disk, or none, is shown while a new one is to come
    WAIT_READY = auto()  # our disk is there and not yet in use
    ADOPT = auto()  # the answer was lost, and the disk fits our call
    RESTORE = auto()  # our disk is in use
    HOLD_GONE = auto()
    HOLD_WINDOW_OVER = auto()
    HOLD_CHANGED = auto()  # the approved disk, but no longer as approved, while a call may still be carried out
    HOLD_NOT_OURS = auto()  # another disk, and not provably ours
    HOLD_ANOTHER = auto()  # another disk than the one that our call made


def decide(record: Record, seen: Seen) -> NextStep:
    """Return what follows: SEND only where the approved disk is shown, on a stopped machine, and no answer is on record."""
    if not seen.exists:
        return NextStep.HOLD_GONE
    if record.new_disk:
        return _answered(record, seen)
    if record.sent_ago is not None:
        return _unanswered(record, seen, record.sent_ago)
    if seen.disk != record.approved_disk or seen.disk_size != record.approved_size:
        return NextStep.SKIP
    if not seen.stopped:
        return NextStep.STOP
    return NextStep.WAIT_SNAPSHOT if seen.snapshot_running else NextStep.SEND


def _answered(record: Record, seen: Seen) -> NextStep:
    if seen.disk in ("", record.approved_disk):
        return NextStep.WAIT_SHOWN
    if seen.disk != record.new_disk:
        return NextStep.HOLD_ANOTHER
    return NextStep.RESTORE if seen.ready else NextStep.WAIT_READY


def _unanswered(record: Record, seen: Seen, sent_ago: float) -> NextStep:
    """Return what follows after a call that may have been carried out, or may still be.

    Never SKIP and never STOP: nothing that takes the machine for untouched.
    """
    if seen.disk not in ("", record.approved_disk):
        return NextStep.ADOPT if _fits(record, seen, sent_ago) else NextStep.HOLD_NOT_OURS
    if seen.disk and seen.disk_size != record.approved_size:
        return NextStep.HOLD_CHANGED
    if sent_ago > RESEND_WINDOW:
        return NextStep.HOLD_WINDOW_OVER
    if not seen.disk:
        return NextStep.WAIT_SHOWN
    if not seen.stopped:
        return NextStep.WAIT_RUNNING
    return NextStep.WAIT_SNAPSHOT if seen.snapshot_running else NextStep.SEND


def _fits(record: Record, seen: Seen, sent_ago: float) -> bool:
    """Say whether a disk fits our lost call: image and size as asked, made after the intent by the provider's clock."""
    return (
        seen.disk_image == record.image
        and (record.size is None or seen.disk_size == record.size)
        and seen.disk_age is not None
        and seen.disk_age <= sent_ago + CLOCKS_APART
    )


def may_leave(*, reading_age: float, lease_left: float, call_timeout: float) -> bool:
    """Say, at the last moment, whether the call may leave: on a fresh reading, with time for an answer before the lease ends."""
    return reading_age <= READING_LASTS and lease_left >= call_timeout + LEASE_RESERVE


class Answer(Enum):
    """What came of a call that was intended."""

    DISK = auto()  # accepted; the answer names the new disk
    UNCLEAR = auto()  # no answer, or one that does not tell whether the work was done
    NOT_SENT = auto()  # it did not leave this process; it may at the next look
    CANNOT_SEND = auto()  # it did not leave this process, and cannot without a person
    THROTTLED = auto()  # not accepted: too many calls
    NOT_NOW = auto()  # not accepted: a snapshot of the disk is being made
    NOT_STOPPED = auto()  # not accepted: the machine is not stopped
    REFUSED = auto()  # not accepted, and the same call would be refused again
    TOKEN_TAKEN = auto()  # this token was used for another request


class After(Enum):
    """What to do after an answer."""

    RECORD = auto()  # put the new disk's id on record
    LOOK_AGAIN = auto()
    STOP = auto()  # stop the machine once more
    END = auto()  # as failed, with the old system intact
    HOLD = auto()  # for a person


@dataclass(frozen=True, slots=True)
class AfterAnswer:
    """What to do after an answer, and whether the intent stays on record."""

    then: After
    intent_stands: bool = True


_NOTHING_DONE = {
    Answer.NOT_SENT: After.LOOK_AGAIN,
    Answer.CANNOT_SEND: After.HOLD,
    Answer.THROTTLED: After.LOOK_AGAIN,
    Answer.NOT_NOW: After.LOOK_AGAIN,
    Answer.NOT_STOPPED: After.STOP,
    Answer.REFUSED: After.END,
}


def judge(answer: Answer, *, first: bool) -> AfterAnswer:
    """Return what follows from an answer; `first`: no intent was on record before the one of this call.

    An intent is taken back only where its call was the first and certainly did nothing. The answer to a later call proves
    nothing about an earlier one, which may still be carried out: a refusal then goes to a person.
    """
    if answer is Answer.DISK:
        return AfterAnswer(After.RECORD)
    if answer is Answer.UNCLEAR:
        return AfterAnswer(After.LOOK_AGAIN)
    if answer is Answer.TOKEN_TAKEN:
        return AfterAnswer(After.HOLD)
    then = _NOTHING_DONE[answer]
    if first:
        return AfterAnswer(then, intent_stands=False)
    return AfterAnswer(After.LOOK_AGAIN if answer in (Answer.NOT_SENT, Answer.THROTTLED) else After.HOLD)
