"""People's acts on a running change, and the poll of its page."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from fleet.changes import running
from fleet.changes.refused import Refused
from fleet.lib.clock import DatabaseClock
from fleet.web.change_page import found, refuse
from fleet.web.htmx import Request, go
from fleet.web.run_page import run_context


@require_safe
def live(request: Request, pk: int) -> HttpResponse:
    """Answer the poll of a run: the figures each time, what holds controls only where it differs from what is shown."""
    change, now = found(request, pk)
    if not request.htmx or not change.started_at:
        return go(request, "change", pk)
    context = run_context(request, change, now)
    context["moved"] = request.GET.get("state") != change.state
    context["changed"] = request.GET.get("version") != context["version"]
    return render(request, "changes/_run_live.html", context)


@require_POST
def start(request: Request, pk: int) -> HttpResponse:
    """Start an approved change."""
    return _act(request, pk, running.start, "start")


@require_POST
def pause(request: Request, pk: int) -> HttpResponse:
    """Start nothing new."""
    return _act(request, pk, running.pause, "pause", "Paused: nothing new starts, and what is in flight is finished.")


@require_POST
def resume(request: Request, pk: int) -> HttpResponse:
    """Let it go on."""
    return _act(request, pk, running.resume, "resume")


@require_POST
def cancel(request: Request, pk: int) -> HttpResponse:
    """End it: what has not started keeps its old system."""
    said = "Ended: what had not started keeps its old system, and what is in flight is finished."
    return _act(request, pk, running.cancel, "end", said)


@require_POST
def look_again(request: Request, pk: int, row: int) -> HttpResponse:
    """Give a held machine back to the engine."""
    return _act(request, pk, running.look_again, "look again in", "It is looked at again.", replacement_id=row)


@require_POST
def give_up(request: Request, pk: int, row: int) -> HttpResponse:
    """End a held machine as failed."""
    return _act(request, pk, running.give_up, "give up a machine of", "It counts as failed.", replacement_id=row)


def _act(request: Request, pk: int, do: Callable[..., object], act: str, said: str = "", **more: Any) -> HttpResponse:
    """Carry out one act and show the change; a refusal shows it too, with its sentence."""
    change, _ = found(request, pk)
    try:
        do(actor=request.user, change_id=change.pk, now=DatabaseClock().now(), **more)
    except Refused as refused:
        return refuse(request, pk, refused, act=act)
    if said:  # where the page itself does not say it
        messages.success(request, said, extra_tags="ok")
    return go(request, "change", pk)
