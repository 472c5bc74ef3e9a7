"""What came of a ReplaceSystemDisk call: its reply in the terms of the protocol, and what follows with its words and events.

Each reply is classified once, and `protocol.judge` alone decides what follows from it.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from fleet.cloud import CloudError, ReplaceAnswer, Retryability
from fleet.engine.batch import Batch, machine_event, retry_after
from fleet.engine.codes import SNAPSHOT_IN_PROGRESS, TOKEN_TAKEN
from fleet.engine.protocol import After, Answer, judge
from fleet.engine.results import Move, Result, RowFields, State, Wait, end_and_start_again, hold_for_person
from fleet.models import AuditEvent, Outcome, Replacement

REFUSALS = {
    **dict.fromkeys(TOKEN_TAKEN, Answer.TOKEN_TAKEN),
    **dict.fromkeys(SNAPSHOT_IN_PROGRESS, Answer.NOT_NOW),
    "IncorrectInstanceStatus": Answer.NOT_STOPPED,
}


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing left this process: it was too late for the call, or, with `why`, it cannot be made without a person."""

    why: str = ""


Reply = ReplaceAnswer | CloudError | NotSent


def result_of_call(row: Replacement, reply: Reply, batch: Batch, *, first_time: bool) -> Result:
    """Return what follows from a reply; `first_time`: no intent was on record before the one of this call."""
    answer, again = _classify(reply, batch.now)
    after = judge(answer, first=first_time)
    intent: RowFields = {} if after.intent_stands else {"first_sent_at": None}
    code: RowFields = {"error_code": reply.code} if isinstance(reply, CloudError) else {}
    events = _events(row, reply, answer)
    match after.then, reply:
        case After.RECORD, ReplaceAnswer():
            return _replaced(row, reply, batch.pace(row, since=batch.now))
        case After.LOOK_AGAIN, _:
            return Wait(again.seconds, again.note, {**intent, **code}, events)
        case After.STOP, _:
            return Move(State.STOPPING, "It was not stopped any more.", {**intent, **code, "asked_at": None}, events)
        case After.END, CloudError():
            why = f"The cloud refused: {reply.message}"
            move = end_and_start_again(row, Outcome.FAILED_UNTOUCHED, why, code=reply.code)
        case _:
            why = _why_held(reply, answer, first_time=first_time)
            move = hold_for_person(row, why, code=code.get("error_code", ""))
    return replace(move, fields={**move.fields, **intent}, events=events)


def _classify(reply: Reply, now: datetime) -> tuple[Answer, Wait]:
    """Return what kind of answer this is, and when to look again where that is what follows from it."""
    match reply:
        case ReplaceAnswer():
            return Answer.DISK, Wait(0)
        case NotSent():
            kind = Answer.CANNOT_SEND if reply.why else Answer.NOT_SENT
            return kind, Wait(0, "The reading was too old to act on; it is read again.")
    if again := retry_after(reply, now):
        # Unclear also where the cloud says that this token is being worked on: then a call of ours was accepted.
        return (Answer.THROTTLED if reply.retryability is Retryability.WAIT else Answer.UNCLEAR), again
    return REFUSALS.get(reply.code, Answer.REFUSED), Wait(15, "A snapshot of its disk is being made.")


def _events(row: Replacement, reply: Reply, answer: Answer) -> list[AuditEvent]:
    if not isinstance(reply, CloudError):
        return []
    # Only an answer that leaves open whether the work was done is a lost one; a throttled call was not accepted.
    action = "instance.answer_lost" if answer is Answer.UNCLEAR else "instance.call_refused"
    return [
        machine_event(row, action, request_id=reply.request_id, code=reply.code, http_status=reply.http_status),
    ]


def _replaced(row: Replacement, answer: ReplaceAnswer, soon: float) -> Wait:
    done = machine_event(
        row,
        "instance.disk_replaced",
        request_id=answer.request_id,
        old_disk=row.target.seen["disk_id"],
        new_disk=answer.disk_id,
        image=row.image_id,
        size=row.change.disk_size,
    )
    fields: RowFields = {"new_disk_id": answer.disk_id, "request_id": answer.request_id, "error_code": ""}
    return Wait(soon, "The new disk is being made.", fields, [done])


def _why_held(reply: Reply, answer: Answer, *, first_time: bool) -> str:
    if isinstance(reply, NotSent):
        why = f"{reply.why}. Set the password anew in a copy of the change."
        if first_time:
            return f"Not replaced: {why}"
        return f"Not sent again: {why} The answer to the earlier call was lost."
    if answer is Answer.TOKEN_TAKEN:
        return "The cloud knows this token with other parameters."
    message = reply.message if isinstance(reply, CloudError) else ""
    return f"The answer to an earlier call was lost, and now the cloud refuses: {message}"
