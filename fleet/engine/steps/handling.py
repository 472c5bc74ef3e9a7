"""The policy's steps before and after a replacement: a command on the machine, or a webhook. Each gives a verdict, good or bad.

Bad before: the machine is left untouched. Bad after: it counts as failed, with the new disk in place. Without a verdict in time
the step is inconclusive, which is neither: the machine is held, no other machine begins, and a person gives the verdict.
"""

from dataclasses import replace
from datetime import timedelta

from fleet.engine.batch import Batch
from fleet.engine.codes import AFTER_STEP_FAILED, BEFORE_STEP_FAILED, INCONCLUSIVE
from fleet.engine.handlers.after_the_line import succeeded
from fleet.engine.handlers.before_the_line import drift, machine_gone
from fleet.engine.results import Move, Result, State, Wait, end_and_start_again, ended, hold_for_person
from fleet.engine.route import onward, step_of
from fleet.engine.steps import commands, webhooks
from fleet.engine.steps.verdict import StepReport, StepVerdict
from fleet.guards.policy import PolicyStep
from fleet.inventory.reading import Reading
from fleet.models import Outcome, Replacement


def before(batch: Batch) -> dict[int, Result]:
    """Make it true that the step before gave the verdict good for each machine."""
    return _handle(batch, State.BEFORE)


def after(batch: Batch) -> dict[int, Result]:
    """Make it true that the step after gave the verdict good for each machine: it serves."""
    return _handle(batch, State.AFTER)


def _handle(batch: Batch, state: State) -> dict[int, Result]:
    results: dict[int, Result] = {}
    asked: dict[str, list[Replacement]] = {"command": [], "webhook": []}
    steps: dict[int, PolicyStep] = {}
    for row in batch.rows:
        step = step_of(row, state)
        if wrong := _changed(row, batch.reading(row), state):
            results[row.pk] = wrong
        elif step is None:
            results[row.pk] = _good(row, state, StepReport(StepVerdict.GOOD, "Nothing is asked of it."))
        else:
            asked[step.kind].append(row)
            steps[row.pk] = step
    reports: dict[int, StepReport] = {}
    if asked["command"]:
        reports |= commands.ask(batch, asked["command"], state)
    if asked["webhook"]:
        reports |= webhooks.ask(batch, asked["webhook"], state)
    rows = {row.pk: row for row in batch.rows}
    return results | {pk: _conclude(rows[pk], state, steps[pk], report, batch) for pk, report in reports.items()}


def _changed(row: Replacement, reading: Reading, state: State) -> Move | None:
    if state is State.AFTER:
        if reading.exists and reading.disk_id == row.new_disk_id:
            return None
        return hold_for_person(row, f"Its system disk is {reading.disk_id or 'gone'}; our call made {row.new_disk_id}.")
    if not reading.exists:
        return machine_gone(row)
    difference = drift(row, reading)
    return end_and_start_again(row, Outcome.SKIPPED_DRIFT, difference) if difference else None


def _conclude(row: Replacement, state: State, step: PolicyStep, report: StepReport, batch: Batch) -> Result:
    match report.verdict:
        case StepVerdict.GOOD:
            return _good(row, state, report)
        case StepVerdict.BAD:
            return _bad(row, state, report)
        case StepVerdict.UNKNOWN if state is State.BEFORE and report.code:
            # Refused by the cloud: the machine is not ready to be touched, and certainly was not.
            return _bad(row, state, report)
        case StepVerdict.UNKNOWN:
            return _with(hold_for_person(row, report.words, code=INCONCLUSIVE), report)
    if batch.now - row.entered_at > timedelta(seconds=step.timeout):
        why = f"No verdict in {step.timeout:,} s. {report.words}"
        return _with(hold_for_person(row, why, code=INCONCLUSIVE), report)
    return Wait(report.seconds, report.words, report.fields, report.events)


def _good(row: Replacement, state: State, report: StepReport) -> Move:
    if state is State.AFTER:
        return succeeded(row, f"It serves. {report.words}", report.events)
    return _with(Move(onward(row, State.BEFORE), report.words), report)


def _bad(row: Replacement, state: State, report: StepReport) -> Move:
    if state is State.BEFORE:
        why = f"The step before failed: {report.words} The machine was not touched."
        return _with(
            end_and_start_again(row, Outcome.FAILED_UNTOUCHED, why, code=report.code or BEFORE_STEP_FAILED), report
        )
    why = f"The new disk is in place, and the step after failed: {report.words}"
    return _with(ended(Outcome.FAILED_REPLACED, why, code=AFTER_STEP_FAILED), report)


def _with(move: Move, report: StepReport) -> Move:
    return replace(move, events=[*report.events, *move.events])
