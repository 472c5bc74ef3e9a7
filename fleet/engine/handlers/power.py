"""Stop and start, batched. They take no ClientToken: the reading before is what keeps them from being asked twice for nothing."""

from collections.abc import Callable

from fleet.cloud import BatchAnswer, CloudError, MachineAnswer, retryability_of
from fleet.engine.batch import Batch, machine_event, retry_after
from fleet.engine.results import Result, RowFields, Wait, ended
from fleet.models import AuditEvent, Outcome, Replacement

# Said of one machine inside an answer: it is on its way already, or the answer leaves it out. The next reading tells.
READ_AGAIN = frozenset({"IncorrectInstanceStatus", "FleetOS.NotAnswered"})
# Said of a whole call for the sake of one of its machines.
OF_ONE = ("InvalidInstance", "IncorrectInstance", "Instance", "OperationDenied")
NOT_YET = " It does not start yet: "


def cause_only(note: str) -> str:
    """Return a note without what was added while the machine did not start."""
    return note.partition(NOT_YET)[0]


Refusal = Callable[[Replacement, str, str, list[AuditEvent]], Result]


def ask_to_stop(batch: Batch, rows: list[Replacement], *, force: bool = False) -> dict[int, Result]:
    """Ask these machines to stop in standard mode, so that they keep their place and address; `force`: without waiting."""

    def refused(row: Replacement, code: str, message: str, events: list[AuditEvent]) -> Result:
        if force:  # the graceful stop goes on, and the deadline of the state ends it
            return Wait(30, f"The cloud refused to force it to stop: {message}", {"error_code": code}, events)
        return ended(Outcome.FAILED_UNTOUCHED, f"The cloud refused to stop it: {message}", code=code, events=events)

    def asked(row: Replacement) -> RowFields:
        fields: RowFields = {"asked_at": batch.now}
        if force:
            fields["forced"] = True
        elif row.asked_at is None:
            # Its time for stopping by itself begins with the first asking, not with the wait for it.
            fields["entered_at"] = batch.now
        return fields

    note = "It did not stop by itself, and was forced to." if force else "It was asked to stop."
    action = "instance.stop_forced" if force else "instance.stop_asked"
    good = {row.pk: Wait(batch.pace(row, since=batch.now), note, asked(row)) for row in rows}
    return _ask(batch, rows, lambda ids: batch.client.stop_instances(ids=ids, force=force), action, good, refused)


def ask_to_start(batch: Batch, rows: list[Replacement]) -> dict[int, Result]:
    """Ask these machines to start. One that does not is asked again until the deadline of its state, and shown plainly."""

    def refused(row: Replacement, code: str, message: str, events: list[AuditEvent]) -> Result:
        if row.outcome and not row.new_disk_id:  # on its way back: why it goes back is kept, and told again in the end
            return Wait(30, f"{cause_only(row.note)}{NOT_YET}{message}", {"asked_at": None}, events)
        return Wait(30, f"It does not start yet: {message}", {"asked_at": None, "error_code": code}, events)

    good = {
        row.pk: Wait(
            batch.pace(row, since=batch.now),
            row.note if row.outcome else "It was asked to start.",
            {"asked_at": batch.now},
        )
        for row in rows
    }
    return _ask(batch, rows, lambda ids: batch.client.start_instances(ids=ids), "instance.start_asked", good, refused)


def _ask(
    batch: Batch,
    rows: list[Replacement],
    call: Callable[[list[str]], BatchAnswer],
    action: str,
    good: dict[int, Wait],
    refused: Refusal,
) -> dict[int, Result]:
    """Send one call for all rows, and say of each what came of it."""
    try:
        answer = call([row.instance.instance_id for row in rows])
    except CloudError as error:
        if again := retry_after(error, batch.now):
            return dict.fromkeys((row.pk for row in rows), again)
        if len(rows) > 1 and error.code.startswith(OF_ONE):
            # A refusal of the whole does not say whose it is: halves, until it is alone.
            halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
            return _ask(batch, halves[0], call, action, good, refused) | _ask(
                batch, halves[1], call, action, good, refused
            )
        return {row.pk: refused(row, error.code, error.message, []) for row in rows}
    answers = {machine.instance_id: machine for machine in answer.machines}
    results: dict[int, Result] = {}
    for row in rows:
        machine = answers[row.instance.instance_id]
        events = [machine_event(row, action, request_id=answer.request_id)]
        wait = good[row.pk]
        if machine.ok or machine.code in READ_AGAIN:
            results[row.pk] = Wait(wait.seconds, wait.note, wait.fields, events)
        elif again := retry_after(_error(machine), batch.now):
            results[row.pk] = Wait(again.seconds, again.note, {"error_code": machine.code}, events)
        else:
            results[row.pk] = refused(row, machine.code, machine.message, events)
    return results


def _error(answer: MachineAnswer) -> CloudError:
    meaning = retryability_of(code=answer.code, mutating=True, message=answer.message)
    return CloudError(code=answer.code, message=answer.message, retryability=meaning)
