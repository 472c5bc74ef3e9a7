"""The views of a run: its poll, each act and its preview, and a new draft of the machines that did not go as asked."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fleet.changes.drafting import drafts
from fleet.changes.running import controls
from fleet.changes.running.acts import available_acts
from fleet.changes.running.causes import rows_of
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.web.change.run.acts import Asked, asked_for, carry_out
from fleet.web.change.run.machines import cluster_of
from fleet.web.change.run.page import run_context
from fleet.web.change.show import answer_refusal, change_or_404, page_of_state
from fleet.web.shared.htmx import Request, redirect_to, toast, trigger, wants_partial
from fleet.web.shared.refusals import STATUS, record_refusal

ACT_PAGE = "run/act.html"


@require_safe
def live(request: Request, pk: int) -> HttpResponse:
    """Answer the poll of a run: its figures each time, and parts with controls only where they differ from the page."""
    change, now = change_or_404(request, pk)
    if not request.htmx or not change.started_at:
        return redirect_to(request, "change", pk)
    context = run_context(request, change, now)
    context["moved"] = [part for part in context["parts"] if request.GET.get(part.name) != part.version]
    return render(request, "run/_live.html", context)


@require_POST
def start(request: Request, pk: int) -> HttpResponse:
    """Start an approved change."""
    change, _ = change_or_404(request, pk)
    try:
        controls.start(actor=request.user, change_id=change.pk, now=DatabaseClock().now())
    except Refused as refused:
        return answer_refusal(request, pk, refused, act="start")
    return redirect_to(request, "change", pk)


@require_http_methods(["GET", "HEAD", "POST"])
def act(request: Request, pk: int, name: str) -> HttpResponse:
    """Show what an act would do, in numbers; POST does it. Without a script it is a page, else a dialog."""
    change, now = change_or_404(request, pk)
    given = request.POST if request.method == "POST" else request.GET
    asked = None
    try:
        asked = asked_for(change, name, given, now)
        if request.method != "POST":
            return _ask(request, pk, asked, None)
        message = carry_out(asked, change, request.user, given, DatabaseClock().now())
    except Refused as refused:
        record_refusal(request, refused, act=name.replace("_", " "), change=change)
        if asked is None or refused.kind != "wrong":
            return _refused(request, pk, refused)
        return _ask(request, pk, asked, refused)
    messages.success(request, message, extra_tags="ok")
    return redirect_to(request, "change", pk)


@require_POST
def redraft(request: Request, pk: int, key: str) -> HttpResponse:
    """Draft a new change of the machines of one cluster."""
    change, now = change_or_404(request, pk)
    cluster = cluster_of(change, key)
    machines = list(rows_of(change, cluster).values_list("instance_id", flat=True)) if cluster else []
    try:
        draft = drafts.create_draft(
            actor=request.user, instance_pks=machines, now=now, why=f"did not go as asked in #{change.pk}"
        )
    except Refused as refused:
        return answer_refusal(request, pk, refused, act="draft a change of machines of")
    return redirect_to(request, "draft", draft.pk)


def _ask(request: Request, pk: int, asked: Asked, refused: Refused | None) -> HttpResponse:
    change, now = change_or_404(request, pk)
    may = available_acts(change, request.user, now)[asked.name]
    context = {
        "change": change,
        "asked": asked,
        "may": may,
        "refused": refused,
        "reason": request.POST.get("reason", ""),
        "wide": not wants_partial(request),
    }
    template = "run/_act.html" if wants_partial(request) else ACT_PAGE
    return render(request, template, context, status=STATUS[refused.kind] if refused else 200)


def _refused(request: Request, pk: int, refused: Refused) -> HttpResponse:
    """Answer a refusal with the run's page as it is now, or with a toast on it where a dialog was asked for."""
    if wants_partial(request):
        answer = HttpResponse(status=STATUS[refused.kind], headers={"HX-Reswap": "none"})
        status = "warn" if refused.kind == "moved" else "bad"
        return trigger(toast(answer, refused.sentence, status=status), "dialog-close")
    change, now = change_or_404(request, pk)
    return page_of_state(request, change, now, refused=refused)
