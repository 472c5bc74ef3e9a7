"""A step as a command on the machine, through Cloud Assistant: up to 50 machines a call.

A group of machines that is asked together is written down before the call leaves, under the call's token (`step_id` is
`ask:` and the token). So after a lost answer the very same call is sent again, whoever claims one of them, and the command
runs once. The answer's id takes its place in all rows of the group at once.
"""

from collections.abc import Iterator

from django.db import transaction

from fleet.audit.trail import record_all
from fleet.cloud import CloudError, MadeAnswer, RunResult
from fleet.cloud.creating import COMMAND_MACHINES_A_CALL
from fleet.engine.batch import Batch, machine_event, retry_after
from fleet.engine.results import State
from fleet.engine.route import step_of
from fleet.engine.steps.verdict import StepReport, StepVerdict
from fleet.lib.canonical import digest
from fleet.lib.redact import redact
from fleet.models import Replacement

ASKING = "ask:"
ALONE = "alone"  # one machine of its group was refused, and a refusal does not say which
SECONDS_A_CALL = 15.0
TOKEN_CODES = frozenset(
    {"IdempotentParameterMismatch", "IdempotenceParamNotMatch", "InvalidIdempotenceParameter.Mismatch"}
)
# The agent on the machine is not there yet, as after a start: the command did not run.
NOT_CONNECTED = frozenset({"InstanceNotRunning", "ClientNotRunning", "ClientNotOnline", "ClientNetworkBlocked"})


def ask(batch: Batch, rows: list[Replacement], state: State) -> dict[int, StepReport]:
    """Make it true that the command was sent once to each machine; return what is known of each."""
    for group in _groups([row for row in rows if row.step_id in ("", ALONE)]):
        _intend(batch, group, state)
    said: dict[int, StepReport] = {}
    for asking in dict.fromkeys(row.step_id for row in rows if row.step_id.startswith(ASKING)):
        group = [row for row in rows if row.step_id == asking]
        said |= {row.pk: _send(batch, asking, state) for row in group[:1]}
        said |= {row.pk: said[group[0].pk] for row in group[1:]}
    for run in dict.fromkeys(row.step_id for row in rows if row.pk not in said and row.step_id not in ("", ALONE)):
        results = {result.instance_id: result for result in batch.client.invocation_results(invoke_id=run)}
        for row in rows:
            if row.step_id == run:
                said[row.pk] = _verdict(results.get(row.instance.instance_id))
    overtaken = StepReport(StepVerdict.NOT_YET, "Somebody else works on it.")
    return {row.pk: said.get(row.pk, overtaken) for row in rows}


def _groups(rows: list[Replacement]) -> Iterator[list[Replacement]]:
    together: dict[tuple[object, ...], list[Replacement]] = {}
    for row in rows:
        key = (row.change_id, _kind(row), row.pk if row.step_id == ALONE else None)
        together.setdefault(key, []).append(row)
    for group in together.values():
        for start in range(0, len(group), COMMAND_MACHINES_A_CALL):
            yield group[start : start + COMMAND_MACHINES_A_CALL]


def _intend(batch: Batch, group: list[Replacement], state: State) -> None:
    """Write down that these are asked together. A row that was overtaken, or is called back, drops out."""
    asking = ASKING + digest(["RunCommand", state, [row.pk for row in group], batch.now.isoformat()])[:40]
    for row in group:
        mine = Replacement.objects.filter(pk=row.pk, lease=row.lease, state=state, returning=False)
        row.step_id = asking if mine.update(step_id=asking, step_asked_at=batch.now) else ""


def _send(batch: Batch, asking: str, state: State) -> StepReport:
    """Send the call of a group, the same as often as it takes."""
    group = list(
        Replacement.objects.filter(step_id=asking, account=batch.account)
        .select_related("instance", "change")
        .order_by("pk")
    )
    step = step_of(group[0], state) if group else None
    if step is None or batch.lease_left() < SECONDS_A_CALL:
        return StepReport(StepVerdict.NOT_YET, "It waits for its turn.", 0)
    try:
        answer = batch.client.run_command(
            ids=[row.instance.instance_id for row in group],
            kind=_kind(group[0]),
            content=step.text,
            timeout=step.timeout,
            name=f"fleet-os-{group[0].change_id}-{state}",
            client_token=asking.removeprefix(ASKING),
        )
    except CloudError as error:
        return _refused(group, asking, error, batch)
    _sent(group, asking, answer)
    return StepReport(StepVerdict.NOT_YET, "The command was sent.", 1)


@transaction.atomic
def _sent(group: list[Replacement], asking: str, answer: MadeAnswer) -> None:
    Replacement.objects.filter(step_id=asking).update(step_id=answer.made_id)
    record_all(
        [machine_event(row, "instance.step_asked", request_id=answer.request_id, run=answer.made_id) for row in group]
    )


def _refused(group: list[Replacement], asking: str, error: CloudError, batch: Batch) -> StepReport:
    if again := retry_after(error, batch.now):
        return StepReport(StepVerdict.NOT_YET, again.note, again.seconds)
    if error.code in TOKEN_CODES:
        # The token is known, with other machines: one has left the group after a call whose answer was lost.
        return StepReport(
            StepVerdict.UNKNOWN, "The command was sent before, and nobody knows what came of it.", code=error.code
        )
    if len(group) > 1:
        Replacement.objects.filter(step_id=asking).update(step_id=ALONE)
        return StepReport(StepVerdict.NOT_YET, "One machine of the call was refused; each is asked alone.", 0)
    return StepReport(StepVerdict.UNKNOWN, f"The cloud refused to run the command: {error.message}", code=error.code)


def _verdict(result: RunResult | None) -> StepReport:
    if result is None or result.status == "Running":
        return StepReport(StepVerdict.NOT_YET, "The command runs.")
    if result.error_code in NOT_CONNECTED:
        why = f"The machine takes no commands yet ({result.error_code})."
        return StepReport(StepVerdict.NOT_YET, why, 10, fields={"step_id": "", "step_asked_at": None})
    told_us = f" It said: {redact(result.output.strip())[:200]}" if result.output.strip() else ""
    if result.status == "Finished" and result.exit_code == 0:
        return StepReport(StepVerdict.GOOD, "The command ended well.")
    if result.exit_code or result.error_code == "ExitCodeNonzero":
        return StepReport(StepVerdict.BAD, f"The command ended with {result.exit_code}.{told_us}")
    return StepReport(StepVerdict.UNKNOWN, f"The command did not end ({result.error_code or result.status}).{told_us}")


def _kind(row: Replacement) -> str:
    return "RunPowerShellScript" if row.instance.os_type == "windows" else "RunShellScript"
