"""The page of a change that is being checked: how many machines have been read."""

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from fleet.changes.permissions import acts_for
from fleet.lib.refused import Refused
from fleet.models import Change
from fleet.web.shared.htmx import Request

PAGE = "change/checking.html"


def checking_page(
    request: Request, change: Change, now: datetime, *, refused: Refused | None = None, status: int = 200
) -> HttpResponse:
    """Render the progress of the check, and the way back to draft."""
    acts = acts_for(change, request.user, now)
    context = checking_context(change, now) | {"refused": refused, "acts": acts}
    return render(request, PAGE, context, status=status)


def checking_context(change: Change, now: datetime) -> dict[str, Any]:
    """Return what the polled part shows."""
    machines = change.targets.count()
    return {"change": change, "now": now, "machines": machines, "checked": min(change.checked, machines)}
