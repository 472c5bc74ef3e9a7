"""The audit trail as a file, oldest event first, in constant memory: CSV for people, JSON Lines to verify it offline."""

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponseBadRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from fleet.audit.trail import record
from fleet.web.audit.views import MAY_EXPORT, narrowed
from fleet.web.shared.htmx import Request
from fleet.web.shared.scope import has_role

BATCH = 2000
COLUMNS = (
    "number",
    "at",
    "actor_name",
    "action",
    "subject",
    "change_id",
    "instance_id",
    "account_id",
    "request_id",
    "data",
    "previous_hash",
    "hash",
    "canonical",
)


@require_safe
def export(request: Request) -> HttpResponseBase:
    """Send the events that fit the filter; the export itself is put on record first, and is not in the file."""
    if not has_role(request.user, *MAY_EXPORT):
        raise PermissionDenied("Exporting the trail needs the role auditor or admin.")
    kind = request.GET.get("format", "csv")
    if kind not in ("csv", "jsonl"):
        return HttpResponseBadRequest("The format is csv or jsonl.")
    events, _ = narrowed(request.user, request.GET)
    filters = {name: value for name, value in request.GET.items() if value and name not in ("format", "at", "number")}
    with transaction.atomic():
        own = record(
            action="audit.exported",
            subject="the trail" if not filters else "a part of the trail",
            actor=request.user,
            data={"format": kind, "filters": {name[:40]: value[:200] for name, value in filters.items()}},
        )
    number = own.number  # as the trigger gave it
    rows = _walk(events.filter(number__lt=number))
    lines = _csv(rows) if kind == "csv" else (_json(row) for row in rows)
    content = "text/csv; charset=utf-8" if kind == "csv" else "application/x-ndjson"
    name = f'attachment; filename="audit-until-{number}.{kind}"'
    return StreamingHttpResponse(lines, content_type=content, headers={"Content-Disposition": name})


def _walk(events: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows by number, batch by batch: no cursor is held open, however slowly they are fetched."""
    after = 0
    while batch := list(events.filter(number__gt=after).order_by("number").values(*COLUMNS)[:BATCH]):
        yield from batch
        after = batch[-1]["number"]


def _json(row: dict[str, Any]) -> str:
    return json.dumps({**row, "at": row["at"].isoformat()}, ensure_ascii=False) + "\n"


class _Echo:
    def write(self, line: str) -> str:
        return line


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    write: Callable[[list[Any]], str] = csv.writer(_Echo()).writerow
    yield "\ufeff" + write(list(COLUMNS))
    for row in rows:
        data = json.dumps(row["data"], ensure_ascii=False)
        yield write([_cell({**row, "at": row["at"].isoformat(), "data": data}[name]) for name in COLUMNS])


def _cell(value: Any) -> Any:
    """Return the value so that a spreadsheet takes it for text and never for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
