"""Stopping and starting machines, many in one call.

These calls take no ClientToken: the reading before each keeps us from asking twice for nothing.
"""

from collections.abc import Callable

from fleet.cloud import BatchAnswer, CloudError, MachineAnswer, retryability_of
from fleet.engine.batch import Batch, machine_event, retry_after
from fleet.engine.results import Result, RowFields, Wait, ended
from fleet.models import AuditEvent, Outcome, Replacement

# Codes for one machine of an answer: it changes its state already, or the answer leaves it out. The next reading tells.
READ_AGAIN = frozenset({"IncorrectInstanceStatus", "FleetOS.NotAnswered"})
# Beginnings of codes that refuse a whole call because of one of its machines.
OF_ONE = ("InvalidInstance", "IncorrectInstance", "Instance", "OperationDenied")
NOT_YET = " It does not start yet: "


def cause_only(note: str) -> str:
    """Return a note as it was before the refusals to start were added to it."""
    return note.partition(NOT_YET)[0]


Refusal = Callable[[Replacement, str, str, list[AuditEvent]], Result]


def ask_to_stop(batch: Batch, rows: list[Replacement], *, force: bool = False) -> dict[int, Result]:
    """Ask these machines to stop, so that they keep their capacity and address; `force`: without a clean shutdown."""

    def refused(row: Replacement, code: str, message: str, events: list[AuditEvent]) -> Result:
        if force:  # the clean shutdown goes on, until the deadline of the state
            return Wait(30, f"The cloud refused to force it to stop: {message}", {"error_code": code}, events)
        return ended(Outcome.FAILED_UNTOUCHED, f"The cloud refused to stop it: {message}", code=code, events=events)

    def asked(row: Replacement) -> RowFields:
        fields: RowFields = {"asked_at": batch.now}
        if force:
            fields["forced"] = True
        elif row.asked_at is None:
            # The time that it has for a clean shutdown begins when it is asked, not when it came into the state.
            fields["entered_at"] = batch.now
        return fields

    note = "It did not stop by itself, and was forced to." if force else "It was asked to stop."
    action = "instance.stop_forced" if force else "instance.stop_asked"
    good = {row.pk: Wait(batch.pace(row, since=batch.now), note, asked(row)) for row in rows}
    return _ask(batch, rows, lambda ids: batch.client.stop_instances(ids=ids, force=force), action, good, refused)


def ask_to_start(batch: Batch, rows: list[Replacement]) -> dict[int, Result]:
    """Ask these machines to start. One that does not is asked again until the deadline of its state, and its note says so."""

    def refused(row: Replacement, code: str, message: str, events: list[AuditEvent]) -> Result:
        if row.outcome and not row.new_disk_id:  # on its way back: its note says why, and is needed again at the end
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
    """Make one call for all rows; return what came of it for each."""
    try:
        answer = call([row.instance.instance_id for row in rows])
    except CloudError as error:
        if again := retry_after(error, batch.now):
            return dict.fromkeys((row.pk for row in rows), again)
        if len(rows) > 1 and error.code.startswith(OF_ONE):
            # The refusal does not say which machine it is about: try halves until that one is alone.
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
