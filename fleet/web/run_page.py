"""The page of a run: how far it is, what failed and why, and what pausing or ending it would do."""

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from fleet.changes.permissions import acts_for
from fleet.changes.refused import Refused
from fleet.inventory.lifecycle import os_label
from fleet.lib.canonical import digest
from fleet.models import Change, ChangeState, Decision, Image
from fleet.web.htmx import Request
from fleet.web.paging import number_of
from fleet.web.run_machines import causes, machines_page
from fleet.web.run_numbers import numbers

PAGE = "changes/run.html"
LIVE = (ChangeState.RUNNING, ChangeState.PAUSED, ChangeState.TRIPPED)


def run_page(
    request: Request, change: Change, now: datetime, *, refused: Refused | None = None, status: int = 200
) -> HttpResponse:
    """Render the whole page of a change that was started."""
    context = run_context(request, change, now)
    context |= {
        "refused": refused,
        "approvals": list(
            change.approvals.filter(decision=Decision.APPROVE, revision=change.revision, voided_at=None)
            .select_related("reviewer")
            .defer("leaves")
        ),
        "comments": list(change.comments.select_related("author").order_by("at", "pk")),
    }
    return render(request, PAGE, context, status=status)


def run_context(request: Request, change: Change, now: datetime) -> dict[str, Any]:
    """Return what page and poll share; `version` names the state of the parts that hold controls."""
    page = machines_page(change, number_of(request.GET.get("page")))
    context: dict[str, Any] = {
        "change": change,
        "now": now,
        "acts": acts_for(change, request.user, now),
        "live": change.state in LIVE,
        "n": numbers(change, now),
        "causes": causes(change),
        "page": page,
    }
    if not context["live"]:
        name = Image.objects.filter(image_id=change.image_id).values_list("os_name", flat=True).first()
        context["system"] = os_label(name or "")
    context["version"] = _version(context)
    return context


def _version(context: dict[str, Any]) -> str:
    """Return what changes when the parts with controls in them change: they are swapped then, and not before."""
    page, causes_found = context["page"], context["causes"]
    rows = [[row.pk, row.state, row.outcome, row.note, row.error_code, row.new_disk_id] for row in page.rows]
    reasons = [[one.key, one.code, one.why, len(one.machines)] for one in causes_found]
    n = context["n"]
    return digest([context["change"].state, n.tiles, n.c.done, n.c.in_flight, n.c.queued, rows, reasons])[:12]
