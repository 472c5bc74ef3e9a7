"""Locks on machines: the form that both pages share, and the page that locks a whole selection."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from fleet.changes.drafting import locks as use
from fleet.changes.drafting.locks import LOCKERS
from fleet.inventory.queries import OneOf
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import MachineLock
from fleet.web.instances.selection import Desk, desk_of
from fleet.web.shared.forms import Form
from fleet.web.shared.htmx import Request
from fleet.web.shared.refusals import record_refusal, status_of
from fleet.web.shared.scope import has_role, visible_instances

MOST_LISTED = 100


class LockForm(Form):
    """What a person says when locking machines: why, and until when (UTC), where it has an end."""

    wide = ("reason",)

    reason = forms.CharField(
        label="Why nobody may touch it",
        max_length=400,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Whoever wants to change it reads this.",
    )
    expires_at = forms.DateTimeField(
        label="Until, in UTC",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty: until somebody releases it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = self.fields["reason"].error_messages
        words["required"] = "No reason is given. Say why nobody may touch it."
        words["max_length"] = "The reason is too long. Use 400 characters or fewer."
        invalid = "This is no time. Enter a day and a time, or leave it empty."
        self.fields["expires_at"].error_messages["invalid"] = invalid


@require_http_methods(["GET", "HEAD", "POST"])
def locks(request: Request) -> HttpResponse:
    """Show the machines of a selection and their locks; lock them, or release them."""
    if not has_role(request.user, *LOCKERS):
        raise PermissionDenied("Machines are locked by operators and administrators.")
    posted = request.method == "POST"
    desk = desk_of(request.user, (request.POST if posted else request.GET).get("selection"))
    if not posted:
        return _page(request, desk, LockForm())
    form = lock_form(request)
    if lock_or_release(request, form, desk.picked, now=desk.now):
        return redirect(f"{reverse('instances')}?selection={desk.id}")
    return _page(request, desk, form)


def lock_form(request: Request) -> LockForm:
    """Return the form that was sent; the button that releases locks sends none."""
    return LockForm(request.POST if request.POST.get("act") == "lock" else None)


def lock_or_release(request: Request, form: LockForm, pks: Collection[int], *, now: datetime) -> bool:
    """Do what the button asks, and say whether it is done; if not, the form has what stands in the way."""
    actor = request.user
    try:
        if not form.is_bound:
            number = use.release(actor=actor, instance_pks=pks, now=now)
            messages.success(request, f"Released {count(number, 'lock')}.", extra_tags="ok")
            return True
        if not form.is_valid():
            return False
        done = use.lock(
            actor=actor,
            instance_pks=pks,
            reason=form.cleaned_data["reason"],
            expires_at=form.cleaned_data["expires_at"],
            now=now,
        )
    except Refused as refused:
        record_refusal(request, refused, act="lock or release machines")
        if refused.field:
            form.refuse(refused)
        else:
            form.refused = refused  # these pages show the form only while there is something to lock
        return False
    words = ("lock that was there stays as it is", "locks that were there stay as they are")
    already = f" {count(done.already, *words)}." if done.already else ""
    messages.success(request, f"Locked {count(done.locked, 'machine')}.{already}", extra_tags="ok")
    return True


def _page(request: Request, desk: Desk, form: LockForm) -> HttpResponse:
    machines = visible_instances(request.user).filter(OneOf("pk", desk.picked))
    in_force = MachineLock.objects.in_force(desk.now).filter(instance__in=machines)
    in_force = in_force.select_related("owner", "instance")
    context = {
        "desk": desk,
        "form": form,
        "refused": form.refused,
        "machines": len(desk.picked),
        "names": list(machines.order_by("name", "pk")[:MOST_LISTED]),
        "locks": list(in_force.order_by("instance__name", "pk")[:MOST_LISTED]),
        "held": in_force.count(),
    }
    return render(request, "instances/locks.html", context, status=status_of(form))
