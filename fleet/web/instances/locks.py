"""Machine locks: of a whole selection, and of one machine from its page."""

from collections.abc import Collection

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from fleet.changes.drafting import locks as use
from fleet.changes.drafting.locks import LOCKERS
from fleet.inventory.queries import OneOf
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Instance, MachineLock
from fleet.web.instances.detail import machine_page
from fleet.web.instances.lock_form import LockForm
from fleet.web.instances.selection import Desk, desk_of
from fleet.web.shared.forms import fault
from fleet.web.shared.htmx import Request
from fleet.web.shared.refusals import STATUS, record_refusal
from fleet.web.shared.scope import covered, has_role, visible_instances

MOST_LISTED = 100


@require_http_methods(["GET", "HEAD", "POST"])
def locks(request: Request) -> HttpResponse:
    """Show the machines of a selection and their locks; lock them, or release them."""
    if not has_role(request.user, *LOCKERS):
        raise PermissionDenied("Machines are locked by operators and administrators.")
    posted = request.method == "POST"
    desk = desk_of(request.user, (request.POST if posted else request.GET).get("selection"))
    form = LockForm(request.POST) if posted and request.POST.get("act") == "lock" else LockForm()
    if not posted:
        return _page(request, desk, form)
    refused = _act(request, desk, form, desk.picked)
    if refused is None and not form.errors:
        return redirect(f"{reverse('instances')}?selection={desk.id}")
    return _page(request, desk, form, refused, status=STATUS[refused.kind] if refused else 422)


@require_POST
def lock(request: Request, pk: int) -> HttpResponse:
    """Lock or release one machine."""
    machine = get_object_or_404(Instance.objects.filter(covered(request.user)).select_related("account"), pk=pk)
    desk = desk_of(request.user, None)
    form = LockForm(request.POST) if request.POST.get("act") == "lock" else LockForm()
    refused = _act(request, desk, form, [machine.pk])
    if refused is None and not form.errors:
        return redirect(f"{reverse('instance', args=[pk])}#lock")
    status = STATUS[refused.kind] if refused else 422
    return machine_page(request, machine, desk.now, form=form, refused=refused, status=status)


def _act(request: Request, desk: Desk, form: LockForm, pks: Collection[int]) -> Refused | None:
    """Do what the button asks; a fault of a field is put at the field, any other refusal is returned."""
    actor = request.user
    try:
        if not form.is_bound:
            number = use.release(actor=actor, instance_pks=pks, now=desk.now)
            messages.success(request, f"Released {count(number, 'lock')}.", extra_tags="ok")
        elif form.is_valid():
            given = form.cleaned_data
            done = use.lock(
                actor=actor,
                instance_pks=pks,
                reason=given["reason"],
                expires_at=given["expires_at"],
                now=desk.now,
            )
            words = ("lock that was there stays as it is", "locks that were there stay as they are")
            kept = f" {count(done.already, *words)}." if done.already else ""
            messages.success(request, f"Locked {count(done.locked, 'machine')}.{kept}", extra_tags="ok")
    except Refused as refused:
        record_refusal(request, refused, act="lock or release machines")
        if refused.field in form.fields and form.is_bound:
            form.add_error(refused.field, fault(refused.sentence))
            return None
        return refused
    return None


def _page(
    request: Request, desk: Desk, form: LockForm, refused: Refused | None = None, *, status: int = 200
) -> HttpResponse:
    machines = visible_instances(request.user).filter(OneOf("pk", desk.picked))
    held = MachineLock.objects.in_force(desk.now).filter(instance__in=machines).select_related("owner", "instance")
    context = {
        "desk": desk,
        "form": form,
        "refused": refused,
        "machines": len(desk.picked),
        "names": list(machines.order_by("name", "pk")[:MOST_LISTED]),
        "locks": list(held.order_by("instance__name", "pk")[:MOST_LISTED]),
        "held": held.count(),
    }
    return render(request, "instances/locks.html", context, status=status)
