"""A reviewer's acts, and the list of a group of machines."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from fleet.changes import review as acts
from fleet.changes.queries import grouped
from fleet.changes.refused import Refused
from fleet.lib.clock import DatabaseClock
from fleet.web.change_page import found, refuse
from fleet.web.htmx import Request, go, wants_partial
from fleet.web.paging import Page, number_of
from fleet.web.review_page import review_page

LISTED = 50


@require_safe
def reviewed(request: Request, pk: int) -> HttpResponse:
    """Show the review of a change whatever its state: what was approved."""
    change, now = found(request, pk)
    return review_page(request, change, now)


@require_safe
def group(request: Request, pk: int, key: str) -> HttpResponse:
    """Show one page of the machines to which the same happens; for htmx inside the review, else as a page."""
    change, now = found(request, pk)
    one = next((each for each in grouped(change).groups if each.key == key), None)
    if one is None:
        raise Http404
    number = number_of(request.GET.get("page"))
    start = (number - 1) * LISTED
    pks = one.targets[start : start + LISTED]
    rows = list(change.targets.filter(pk__in=pks).select_related("instance").order_by("position"))
    page = Page(rows, start + 1, LISTED, len(one.targets) > start + LISTED, number > 1, total=len(one.targets))
    context = {"change": change, "now": now, "group": one, "page": page, "closed": "closed" in request.GET}
    name = "changes/_group.html" if wants_partial(request) else "changes/group.html"
    return render(request, name, context)


@require_POST
def approve(request: Request, pk: int) -> HttpResponse:
    """Approve the form whose digest the button carried."""
    return _act(
        request,
        pk,
        acts.approve,
        "approve",
        "Approved. Nothing starts by itself: an operator starts it.",
        digest=request.POST.get("digest", ""),
        confirmed=request.POST.get("confirm", ""),
    )


@require_POST
def return_to_draft(request: Request, pk: int) -> HttpResponse:
    """Ask the author for changes."""
    said = "Sent back to its author. No machine was touched."
    return _act(request, pk, acts.return_to_draft, "return", said, reason=request.POST.get("reason", ""))


@require_POST
def reject(request: Request, pk: int) -> HttpResponse:
    """Reject the change for good."""
    said = "Rejected. No machine was touched."
    return _act(request, pk, acts.reject, "reject", said, reason=request.POST.get("reason", ""))


@require_POST
def withdraw(request: Request, pk: int) -> HttpResponse:
    """Take the change back to draft."""
    return _act(request, pk, acts.withdraw, "withdraw", "It is a draft again. No machine was touched.")


@require_POST
def comment(request: Request, pk: int) -> HttpResponse:
    """Say something that decides nothing."""
    return _act(request, pk, acts.comment, "comment on", "", place="#talk", text=request.POST.get("comment", ""))


def _act(
    request: Request, pk: int, do: Callable[..., object], act: str, said: str, *, place: str = "", **typed: Any
) -> HttpResponse:
    """Carry out one act and show the change; a refusal shows it too, with its sentence and what was typed."""
    change, _ = found(request, pk)
    try:
        do(actor=request.user, change_id=change.pk, now=DatabaseClock().now(), **typed)
    except Refused as refused:
        return refuse(request, pk, refused, act=act)
    if said:
        messages.success(request, said, extra_tags="ok")
    return go(request, f"{reverse('change', args=[pk])}{place}")
