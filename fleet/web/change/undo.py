"""The list of what can be undone: which old disks can be put back, and until when. Undoing some is a change of its own."""

from typing import Any

from django.db.models import Count, Max, Min, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from fleet.changes.drafting.undoing import draft_undo, undoable
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.models import Change, Role, Snapshot
from fleet.web.shared.htmx import Request, redirect_to
from fleet.web.shared.numbers import id_of, ids_of, number_of
from fleet.web.shared.paging import numbered
from fleet.web.shared.refusals import STATUS, record_refusal
from fleet.web.shared.scope import covered, has_role, visible_changes

PAGE = "change/undo.html"
LISTED = 100
MOST_CHANGES = 200


@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: Request) -> HttpResponse:
    """Show what can be undone, of all changes or of one (`change`); POST drafts a change that puts the chosen disks back."""
    change = _change(request)
    refused = None
    if request.method == "POST":
        if change is None:
            raise Http404
        try:
            draft = draft_undo(
                actor=request.user,
                change_id=change.pk,
                replacement_ids=_chosen(request, change),
                now=DatabaseClock().now(),
            )
        except Refused as error:
            record_refusal(request, error, act="undo machines of", change=change)
            refused = error
        else:
            return redirect_to(request, "draft", draft.pk)
    return _page(request, change, refused)


def _page(request: Request, change: Change | None, refused: Refused | None) -> HttpResponse:
    rows = _visible(request, change)
    ticked = frozenset(ids_of(request.POST.getlist("replacement")))
    context: dict[str, Any] = {
        "change": change,
        "refused": refused,
        "now": DatabaseClock().now(),
        "drafter": has_role(request.user, Role.OPERATOR),
        "ticked": ticked,
    }
    if change is None:
        by_change = rows.order_by().values("replacement__change_id", "replacement__change__title")
        counted = by_change.annotate(machines=Count("pk"), first=Min("expires_at"), last=Max("expires_at"))
        context["changes"] = list(counted.order_by("first", "replacement__change_id")[:MOST_CHANGES])
    else:
        context["total"] = rows.count()
        page = numbered(rows, page=number_of(request.GET.get("page")), size=LISTED, total=context["total"])
        context["page"] = page
    return render(request, PAGE, context, status=STATUS[refused.kind] if refused else 200)


def _visible(request: Request, change: Change | None) -> QuerySet[Snapshot]:
    return undoable(DatabaseClock().now(), change).filter(covered(request.user, prefix="instance__"))


def _chosen(request: Request, change: Change) -> list[int]:
    if request.POST.get("all"):
        return [pk for pk in _visible(request, change).values_list("replacement_id", flat=True) if pk is not None]
    return ids_of(request.POST.getlist("replacement"))


def _change(request: Request) -> Change | None:
    asked = request.POST.get("change") or request.GET.get("change") or ""
    if not asked:
        return None
    found = visible_changes(request.user).filter(pk=id_of(asked)).first()
    if found is None:
        raise Http404
    return found
