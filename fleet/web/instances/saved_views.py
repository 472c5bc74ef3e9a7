"""Saved views: a filter of the list under a name, for oneself or for everybody."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from fleet.audit.trail import record
from fleet.lib.clock import DatabaseClock
from fleet.models import SavedView
from fleet.web.instances.filters import query_of
from fleet.web.instances.selection import uuid_of
from fleet.web.shared.htmx import Request
from fleet.web.shared.numbers import id_of

MOST = 50  # views of one person


@require_POST
def views(request: Request) -> HttpResponse:
    """Save the present filter under a name, replacing the person's view of that name; or delete one of their views."""
    data = request.POST
    query = _delete(request) if data.get("act") == "delete" else _save(request)
    selection = uuid_of(data.get("selection"))
    parts = "&".join(filter(None, [query, f"selection={selection}" if selection else ""]))
    return redirect(f"{reverse('instances')}?{parts}")


def _save(request: Request) -> str:
    data, owner = request.POST, request.user
    query, name = query_of(QueryDict(data.get("query", "")[:4000])), " ".join(data.get("name", "").split())
    if problem := _problem(owner.pk, name, query):
        messages.warning(request, problem, extra_tags="warn")
        return query
    shared = "shared" in data
    with transaction.atomic():
        values = {"query": query, "shared": shared, "at": DatabaseClock().now()}
        SavedView.objects.update_or_create(owner=owner, name=name, defaults=values)
        record(action="view.saved", actor=owner, subject=name, data={"query": query, "shared": shared})
    messages.success(request, f"The view {name} is saved{', for everybody' if shared else ''}.", extra_tags="ok")
    return query


def _problem(owner: int, name: str, query: str) -> str:
    """Return the sentence that says why the view cannot be saved, or nothing."""
    if not name:
        return "The view has no name. Type one, then save it."
    if len(name) > 80 or "\0" in name:
        return "The name is too long. Use 80 characters or fewer."
    if not query:
        return "Nothing is filtered: that is the view All. Choose a filter first, then save it."
    if len(query) > 2000:
        return "The filter is too long to be saved. Drop some of its parts."
    if SavedView.objects.filter(owner=owner).exclude(name=name).count() >= MOST:
        return f"You have {MOST} views. Delete one that you no longer need."
    return ""


def _delete(request: Request) -> str:
    own = SavedView.objects.filter(owner=request.user, pk=id_of(request.POST.get("view")))
    with transaction.atomic():
        view = own.select_for_update().first()
        if view is not None:
            name = view.name
            view.delete()
            record(action="view.deleted", actor=request.user, subject=name)
            messages.success(request, f"The view {name} is deleted.", extra_tags="ok")
    return ""
