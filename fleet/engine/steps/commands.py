"""A step as a command on the machine, through Cloud Assistant: up to 50 machines in one call.

The machines of a call are recorded before it leaves, under its token: the `step_id` of each is `ask:` and the token. So after
a lost answer the very same call is sent again, whoever claims one of the machines, and the command runs once. Then the id of
the run takes the place of the token in all of these rows at once.
"""

from collections.abc import Iterator

from django.db import transaction

from fleet.audit.trail import record_all
from fleet.cloud import CloudError, CreatedAnswer, RunResult
from fleet.cloud.creating import COMMAND_MACHINES_A_CALL
from fleet.engine.batch import Batch, machine_event, retry_after
from fleet.engine.codes import TOKEN_TAKEN
from fleet.engine.results import State
from fleet.engine.route import step_of
from fleet.engine.steps.verdict import StepReport, StepVerdict
from fleet.lib.canonical import digest
from fleet.lib.redact import redact
from fleet.models import Replacement

ASKING = "ask:"
ALONE = "alone"  # one machine of its call was refused, and the refusal does not say which: each gets a call of its own
SECONDS_A_CALL = 15.0
# The agent on the machine does not answer yet, as after a start: the command did not run.
NOT_CONNECTED = frozenset({"InstanceNotRunning", "ClientNotRunning", "ClientNotOnline", "ClientNetworkBlocked"})


def ask(batch: Batch, rows: list[Replacement], state: State) -> dict[int, StepReport]:
    """Make it true that the command was sent once to each machine; return what is known about its run."""
    for group in _groups([row for row in rows if row.step_id in ("", ALONE)]):
        _intend(batch, group, state)
    reports: dict[int, StepReport] = {}
    for asking in dict.fromkeys(row.step_id for row in rows if row.step_id.startswith(ASKING)):
        group = [row for row in rows if row.step_id == asking]
        report = _send(batch, asking, state)
        reports |= {row.pk: report for row in group}
    for run in dict.fromkeys(row.step_id for row in rows if row.pk not in reports and row.step_id not in ("", ALONE)):
        results = {result.instance_id: result for result in batch.client.invocation_results(invoke_id=run)}
        for row in rows:
            if row.step_id == run:
                reports[row.pk] = _verdict(results.get(row.instance.instance_id))
    overtaken = StepReport(StepVerdict.NOT_YET, "Somebody else works on it.")
    return {row.pk: reports.get(row.pk, overtaken) for row in rows}


def _groups(rows: list[Replacement]) -> Iterator[list[Replacement]]:
    by_call: dict[tuple[object, ...], list[Replacement]] = {}
    for row in rows:
        key = (row.change_id, _kind(row), row.pk if row.step_id == ALONE else None)
        by_call.setdefault(key, []).append(row)
    for group in by_call.values():
        for start in range(0, len(group), COMMAND_MACHINES_A_CALL):
            yield group[start : start + COMMAND_MACHINES_A_CALL]


def _intend(batch: Batch, group: list[Replacement], state: State) -> None:
    """Record that these machines share a call. A row that was overtaken, or is called back, drops out."""
    asking = ASKING + digest(["RunCommand", state, [row.pk for row in group], batch.now.isoformat()])[:40]
    for row in group:
        ours = Replacement.objects.filter(pk=row.pk, lease=row.lease, state=state, returning=False)
        row.step_id = asking if ours.update(step_id=asking, step_asked_at=batch.now) else ""


def _send(batch: Batch, asking: str, state: State) -> StepReport:
    """Make the call of a group: the same call each time, until its answer is known."""
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
def _sent(group: list[Replacement], asking: str, answer: CreatedAnswer) -> None:
    Replacement.objects.filter(step_id=asking).update(step_id=answer.created_id)
    record_all(
        [
            machine_event(row, "instance.step_asked", request_id=answer.request_id, run=answer.created_id)
            for row in group
        ]
    )


def _refused(group: list[Replacement], asking: str, error: CloudError, batch: Batch) -> StepReport:
    if again := retry_after(error, batch.now):
        return StepReport(StepVerdict.NOT_YET, again.note, again.seconds)
    if error.code in TOKEN_TAKEN:
        # The cloud knows the token with other machines: one has left the group since a call whose answer was lost.
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
    output = f" It said: {redact(result.output.strip())[:200]}" if result.output.strip() else ""
    if result.status == "Finished" and result.exit_code == 0:
        return StepReport(StepVerdict.GOOD, "The command ended well.")
    if result.exit_code or result.error_code == "ExitCodeNonzero":
        return StepReport(StepVerdict.BAD, f"The command ended with {result.exit_code}.{output}")
    return StepReport(StepVerdict.UNKNOWN, f"The command did not end ({result.error_code or result.status}).{output}")


def _kind(row: Replacement) -> str:
    return "RunPowerShellScript" if row.instance.os_type == "windows" else "RunShellScript"
