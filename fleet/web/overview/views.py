"""The overview: what waits, which changes run, what failed, how old the mirror is, and which systems the fleet has."""

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe
from django_q.tasks import async_task

from fleet.audit.trail import record
from fleet.inventory.sync import ask_now
from fleet.lib.clock import DatabaseClock
from fleet.lib.text import count
from fleet.models import Role
from fleet.web.overview import figures
from fleet.web.shared.htmx import Request, redirect_to, toast
from fleet.web.shared.scope import has_role

MAY_ASK = (Role.OPERATOR, Role.APPROVER, Role.ADMIN)


@require_safe
def overview(request: Request) -> HttpResponse:
    """Show the whole page."""
    now = DatabaseClock().now()
    mirrors = figures.mirrors(request.user, now)
    context = {
        "todo": figures.todo(request.user),
        "failures": figures.failures(request.user, now),
        "mirrors": mirrors,
        "machines": sum(mirror.machines for mirror in mirrors),
        "fleet": figures.systems(request.user, now.date()),
        "may_ask": has_role(request.user, *MAY_ASK),
        "may_change": has_role(request.user, Role.OPERATOR),
        "today": now,
        **figures.runs(request.user),
    }
    return render(request, "overview/overview.html", context)


@require_safe
def now(request: Request) -> HttpResponse:
    """Answer the poll of the changes that run; while one does, the answer holds the next poll."""
    return render(request, "overview/overview.html#now", figures.runs(request.user))


@require_safe
def mirror(request: Request) -> HttpResponse:
    """Answer the poll of the mirror's ages."""
    mirrors = figures.mirrors(request.user, DatabaseClock().now())
    context = {"mirrors": mirrors, "may_ask": has_role(request.user, *MAY_ASK)}
    return render(request, "overview/overview.html#mirror", context)


@require_POST
def sync_now(request: Request) -> HttpResponse:
    """Make every region due, wake the worker and put it on the audit trail, in one transaction."""
    if not has_role(request.user, *MAY_ASK):
        raise PermissionDenied("Reading the cloud again needs the role operator, approver or admin.")
    with transaction.atomic():
        regions = ask_now(clock=DatabaseClock())
        async_task("fleet.worker.sync")
        record(action="mirror.asked", subject=count(regions, "region"), actor=request.user, data={"regions": regions})
    if request.htmx:
        return toast(HttpResponse(status=204), "The worker reads the cloud again; the ages here follow.", status="run")
    return redirect_to(request, "overview")
