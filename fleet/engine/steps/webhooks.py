"""A step as a signed webhook (Standard Webhooks): the receiver's answer carries the verdict.

The same message, with the same id, is sent until there is a verdict. A receiver does the work once for each id; it answers
`{"verdict": "pending"}` meanwhile, then `"good"` or `"bad"`, with `"words"` for people beside it.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from django.conf import settings

from fleet.engine.batch import Batch, machine_event
from fleet.engine.results import RowFields, State
from fleet.engine.route import step_of
from fleet.engine.steps.verdict import StepReport, StepVerdict
from fleet.lib.canonical import canonical_json
from fleet.lib.posting import Answer, NotPosted, post
from fleet.lib.redact import redact
from fleet.lib.secret import SealBroken
from fleet.lib.signing import headers
from fleet.models import Replacement, Webhook
from fleet.vault.webhook_keys import secret_of

TIMEOUT = 8.0
THREADS = 8


def ask(batch: Batch, rows: list[Replacement], state: State) -> dict[int, StepReport]:
    """Send each machine's message; return the verdict of its receiver."""
    wanted = {row.pk: step.webhook for row in rows if (step := step_of(row, state))}
    known = Webhook.objects.filter(purpose=Webhook.Purpose.STEP, active=True).select_related("secret")
    receivers = known.in_bulk({pk for pk in wanted.values() if pk})
    keys: dict[int, bytes] = {}
    for pk, webhook in receivers.items():
        try:
            keys[pk] = secret_of(webhook)
        except SealBroken:
            continue

    def send(row: Replacement) -> StepReport:
        receiver = receivers.get(wanted.get(row.pk) or 0)
        if receiver is None or receiver.pk not in keys:
            return StepReport(StepVerdict.UNKNOWN, "The webhook of this step is gone, or switched off.")
        if batch.lease_left() < 2 * TIMEOUT:
            return StepReport(StepVerdict.NOT_YET, "It waits for its turn.", 0)
        return _post(receiver, keys[receiver.pk], row, state, batch)

    with ThreadPoolExecutor(max_workers=min(THREADS, max(1, len(rows)))) as pool:
        reports = dict(zip([row.pk for row in rows], pool.map(send, rows), strict=True))
    return {row.pk: _with_first_asking(row, reports[row.pk], state, batch) for row in rows}


def _post(receiver: Webhook, key: bytes, row: Replacement, state: State, batch: Batch) -> StepReport:
    sent_at = int(batch.now.timestamp())
    body = canonical_json({"type": f"machine.{state}", "timestamp": batch.now.isoformat(), "data": _data(row)}).encode()
    try:
        answer = post(
            receiver.url,
            body=body,
            headers=headers(key, message_id(row, state), sent_at, body),
            timeout=TIMEOUT,
            private=settings.PRIVATE_WEBHOOKS,
        )
    except NotPosted as lost:
        return StepReport(StepVerdict.NOT_YET, lost.sentence, 15)
    return _verdict(answer)


def message_id(row: Replacement, state: State) -> str:
    """Return the id of the message: one for each visit of the machine to the step."""
    return f"{state}-{row.pk}-{row.epoch}-{int(row.entered_at.timestamp())}"


def _data(row: Replacement) -> dict[str, object]:
    machine = row.instance
    return {
        "change": row.change_id,
        "instance_id": machine.instance_id,
        "name": machine.name,
        "region": row.region,
        "environment": machine.environment,
        "private_ip": machine.private_ip,
        "image_id": row.image_id,
    }


def _verdict(answer: Answer) -> StepReport:
    if answer.status == 429 or answer.status >= 500:
        return StepReport(StepVerdict.NOT_YET, f"The webhook answered {answer.status}.", 15)
    try:
        parsed = json.loads(answer.text) if 200 <= answer.status < 300 else {}
    except ValueError:
        parsed = {}
    body = parsed if isinstance(parsed, dict) else {}
    verdict, words = body.get("verdict"), redact(str(body.get("words") or ""))[:200]
    match verdict:
        case "good":
            return StepReport(StepVerdict.GOOD, words or "The webhook says that it is good.")
        case "bad":
            return StepReport(StepVerdict.BAD, words or "The webhook says that it is bad.")
        case "pending":
            return StepReport(StepVerdict.NOT_YET, words or "The webhook is at work.", 10)
    return StepReport(StepVerdict.UNKNOWN, f"The webhook answered {answer.status} without a verdict.")


def _with_first_asking(row: Replacement, report: StepReport, state: State, batch: Batch) -> StepReport:
    """Add the event and the fields of the first message where this was the first."""
    if row.step_asked_at is not None:
        return report
    asked = machine_event(row, "instance.step_asked", message=message_id(row, state))
    fields: RowFields = {"step_asked_at": batch.now, "step_id": message_id(row, state), **report.fields}
    return replace(report, fields=fields, events=[asked, *report.events])
