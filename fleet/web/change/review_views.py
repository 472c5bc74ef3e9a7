"""A reviewer's acts, and the list of a group of machines."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django_q.tasks import async_task

from fleet.changes.permissions import acts_for
from fleet.changes.review import deciding as acts
from fleet.changes.review import removing
from fleet.changes.review.groups import grouped, machines_of
from fleet.changes.review.requirements import assess
from fleet.changes.running import scheduling
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Change
from fleet.web.change.review.page import PAGE, decide_context, machine_of, review_page
from fleet.web.change.show import answer_refusal, change_or_404
from fleet.web.shared.htmx import Request, redirect_to, wants_partial
from fleet.web.shared.numbers import ids_of, number_of
from fleet.web.shared.paging import Page
from fleet.web.shared.refusals import STATUS, record_refusal

LISTED = 50
APPROVED = "Approved. Nothing starts by itself: an operator starts it."


@require_safe
def reviewed(request: Request, pk: int) -> HttpResponse:
    """Show the review of a change whatever its state: what was approved, or the rest that waits for a fresh approval."""
    change, now = change_or_404(request, pk)
    return review_page(request, change, now)


@require_safe
def group(request: Request, pk: int, key: str) -> HttpResponse:
    """Show one page of the machines to which the same happens: for htmx a fragment inside the review, else a page."""
    change, now = change_or_404(request, pk)
    chosen = next((group for group in grouped(change).groups if group.key == key), None)
    if chosen is None:
        raise Http404
    number = number_of(request.GET.get("page"))
    start = (number - 1) * LISTED
    rows = list(machines_of(change, chosen).select_related("instance")[start : start + LISTED])
    page = Page(rows, start + 1, LISTED, chosen.machines > start + LISTED, number > 1, total=chosen.machines)
    context = {
        "change": change,
        "now": now,
        "group": chosen,
        "page": page,
        "closed": "closed" in request.GET,
        "acts": acts_for(change, request.user, now),
    }
    name = "review/_group.html" if wants_partial(request) else "review/group.html"
    return render(request, name, context)


@require_POST
def seen(request: Request, pk: int, key: str) -> HttpResponse:
    """Mark a group as seen, or take the mark back; htmx gets the box with the decision again."""
    change, now = change_or_404(request, pk)
    mark = acts.mark_seen if "seen" in request.POST else acts.unmark_seen
    refused = None
    try:
        mark(actor=request.user, change_id=change.pk, key=key, now=now)
    except Refused as error:
        if not wants_partial(request):
            return answer_refusal(request, pk, error, act="mark as seen")
        refused = error
        record_refusal(request, refused, act="mark as seen", change=change)
    if not wants_partial(request):
        return redirect_to(request, f"{reverse('change', args=[pk])}#g-{key}")
    what = grouped(change)
    context = decide_context(request, change, now, what, assess(change, request.user, now, what=what), refused=refused)
    status = STATUS[refused.kind] if refused else 200
    return render(request, f"{PAGE}#decide", context | {"alone": True}, status=409 if status == 403 else status)


@require_POST
def approve(request: Request, pk: int) -> HttpResponse:
    """Approve the change as the page showed it: the button carries the digest of that."""
    digest, confirmed = request.POST.get("digest", ""), request.POST.get("confirm", "")
    return _act(request, pk, acts.approve, "approve", APPROVED, digest=digest, confirmed=confirmed)


@require_POST
def return_to_draft(request: Request, pk: int) -> HttpResponse:
    """Ask the author for changes."""
    message = "Sent back to its author. No machine was touched."
    return _act(request, pk, acts.return_to_draft, "return", message, reason=request.POST.get("reason", ""))


@require_POST
def reject(request: Request, pk: int) -> HttpResponse:
    """Reject the change for good."""
    message = "Rejected. No machine was touched."
    return _act(request, pk, acts.reject, "reject", message, reason=request.POST.get("reason", ""))


@require_POST
def withdraw(request: Request, pk: int) -> HttpResponse:
    """Take the change back to draft."""
    return _act(request, pk, acts.withdraw, "withdraw", "It is a draft again. No machine was touched.")


@require_POST
def comment(request: Request, pk: int) -> HttpResponse:
    """Add a comment on the whole change, on a group (its key), or on a machine (`m` and its number)."""
    about = request.POST.get("about", "")
    machine = machine_of(about)
    given = {
        "group_key": "" if machine else about[:16],
        "instance_pk": machine or None,
        "text": request.POST.get("comment", ""),
    }
    return _act(request, pk, acts.comment, "comment on", "", place="#talk", **given)


@require_POST
def remove(request: Request, pk: int) -> HttpResponse:
    """Take machines out of a change that is in review or approved: its approvals stay."""
    targets = ids_of(request.POST.getlist("target"))
    message = f"Left out {count(len(targets), 'machine')}. The approvals of others stay."
    reason = request.POST.get("reason", "")
    return _act(request, pk, removing.remove_machines, "remove from", message, target_ids=targets, reason=reason)


@require_POST
def schedule(request: Request, pk: int) -> HttpResponse:
    """Let an approved change start by itself at the next opening."""
    message = "It starts by itself at the next opening, if the approval still holds then."
    return _act(request, pk, scheduling.schedule, "schedule", message, at=None)


@require_POST
def unschedule(request: Request, pk: int) -> HttpResponse:
    """Let an approved change wait for a person again."""
    return _act(request, pk, scheduling.unschedule, "unschedule", "It does not start by itself any more.")


def _act(
    request: Request, pk: int, do: Callable[..., object], act: str, message: str, *, place: str = "", **typed: Any
) -> HttpResponse:
    """Carry out one act and show the change, with `message` or with the sentence of the refusal and what was typed.

    `act` says for the audit trail what was refused.
    """
    change, _ = change_or_404(request, pk)
    try:
        do(actor=request.user, change_id=change.pk, now=DatabaseClock().now(), **typed)
    except Refused as refused:
        return _refused(request, pk, refused, act=act)
    async_task("fleet.worker.deliver")  # so that those who wait for it hear at once; the schedule comes anyway
    if message:
        messages.success(request, message, extra_tags="ok")
    return redirect_to(request, f"{reverse(_page_of(change), args=[pk])}{place}")


def _refused(request: Request, pk: int, refused: Refused, *, act: str) -> HttpResponse:
    """Answer a refused act with the review as it is now, also where the change has a page of its run already."""
    change, now = change_or_404(request, pk)
    if _page_of(change) == "change":
        return answer_refusal(request, pk, refused, act=act)
    record_refusal(request, refused, act=act, change=change)
    return review_page(request, change, now, refused=refused, status=STATUS[refused.kind])


def _page_of(change: Change) -> str:
    """Return the name of the page on which reviewers decide; a change that was started shows its run on its own page."""
    return "change-review" if change.started_at else "change"
