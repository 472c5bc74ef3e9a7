"""Drafting: from ticked machines to a change that is submitted."""

from dataclasses import replace
from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fleet.changes.drafting import drafts
from fleet.changes.drafting.drafts import Overtaken
from fleet.changes.judging.judgement import judge_draft
from fleet.changes.judging.machine import disk_request_of
from fleet.changes.queries import at_its_time
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Change, ChangeState, Role
from fleet.web.change.draft.consequences import consequences_context, targets_of
from fleet.web.change.draft.findings import JUDGED, show_findings
from fleet.web.change.draft.images import picker
from fleet.web.change.draft.page import PAGE, draft_page, listed_page, make_form
from fleet.web.change.draft.places import places_table
from fleet.web.change.draft.saving import Attempt, SaveOutcome, save
from fleet.web.change.show import answer_refusal, change_or_404
from fleet.web.shared.forms import validated
from fleet.web.shared.htmx import Request, redirect_to, wants_partial
from fleet.web.shared.numbers import ids_of, number_of
from fleet.web.shared.refusals import STATUS, record_refusal
from fleet.web.shared.scope import visible_changes, whether_covered

# What became of a form that was to be submitted and was not.
SENTENCES = {
    SaveOutcome.SAVED: "Nothing was submitted; what you typed is saved as a draft.",
    SaveOutcome.NOT_SAVED: "Nothing was submitted, and nothing was saved.",
}
BY_HAND = ("by_hand", "Left out by hand")


@require_POST
def new(request: Request) -> HttpResponse:
    """Make a draft of the machines that were ticked."""
    pks = ids_of(request.POST.getlist("instance"))
    now = DatabaseClock().now()
    try:
        change = drafts.create_draft(actor=request.user, instance_pks=pks, now=now)
    except Refused as refused:
        record_refusal(request, refused, act="draft a change")
        return render(request, "change/refused.html", {"refused": refused}, status=STATUS[refused.kind])
    return redirect_to(request, "draft", change.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
def draft(request: Request, pk: int) -> HttpResponse:
    """Show the draft, or save what was typed."""
    if request.method != "POST":
        change, now, editable = _visible(request, pk)
        if change.state != ChangeState.DRAFT or not editable:
            return redirect("change", pk)
        return draft_page(request, change, now, make_form(request, change, now))
    attempt = save(request, *change_or_404(request, pk))
    if attempt.outcome is SaveOutcome.NOT_SAVED:
        return _redisplay(request, attempt)
    if "look" not in request.POST:
        messages.success(request, "The draft is saved.", extra_tags="ok")
    return _to_draft(request, pk)


@require_POST
@sensitive_post_parameters("password")
def consequences(request: Request, pk: int) -> HttpResponse:
    """Judge the form as it is typed, without saving it, and answer with the right side of the page."""
    change, now = _editable(request, pk)
    form = make_form(request, change, now, data=request.POST, lenient=True)
    form.is_valid()
    judgement = judge_draft(change=change, disk_request=form.disk_request(), now=now)
    return render(request, f"{PAGE}#follows", consequences_context(change, form, judgement, now) | {"live": True})


@require_POST
@sensitive_post_parameters("password")
def validate(request: Request, pk: int, field: str) -> HttpResponse:
    """Answer with the feedback of one field of the form as it is typed, without saving it."""
    change, now = _editable(request, pk)
    form = make_form(request, change, now, data=request.POST)
    form.is_valid()
    judgement = judge_draft(change=change, disk_request=form.disk_request(), now=now) if field in JUDGED else None
    if field in form.fields:
        show_findings(form, judgement)
    answer = validated(request, form, field)
    if field == "image_id" and judgement:
        # Another image: the table of what its other places get is shown again. Nothing else does that, since it holds
        # controls that a person may be using.
        table = places_table(judgement, form.by_hand(), form.choices.accounts)
        context = {"places": table, "form": form, "disk_request": form.disk_request(), "live": True}
        answer.content += render(request, "draft/_places.html", context).content
    return answer


@require_safe
def images(request: Request, pk: int) -> HttpResponse:
    """Answer with the images that fit a search; the chosen one stays among them."""
    change, now = _editable(request, pk)
    if not wants_partial(request):
        return redirect("draft", pk)
    form = make_form(request, change, now)
    chosen, q = request.GET.get("image_id", ""), request.GET.get("q", "")
    judgement = judge_draft(change=change, disk_request=disk_request_of(change), now=now)
    context = {
        "change": change,
        "form": form,
        "now": now,
        "picker": picker(alike_machines=judgement.alike_machines, q=q, chosen=chosen, today=now.date()),
    }
    return render(request, "draft/_images.html", context)


@require_POST
@sensitive_post_parameters("password")
def machines(request: Request, pk: int) -> HttpResponse:
    """Answer with one page of the machines of a draft, and what the form as it is typed means for each of them.

    The form is posted, though nothing is saved: an address must never hold a password.
    """
    change, now = _editable(request, pk)
    number = number_of(request.POST.get("list"))
    if not wants_partial(request):
        return redirect(f"{_url(pk)}?list={number}#machines")
    form = make_form(request, change, now, data=request.POST, lenient=True)
    form.is_valid()
    disk_request = form.disk_request()
    judgement = judge_draft(change=change, disk_request=disk_request, now=now)
    page = listed_page(change, judgement, disk_request, now, number)
    return render(request, "draft/_machines.html", {"change": change, "list": page})


@require_POST
@sensitive_post_parameters("password")
def leave_out(request: Request, pk: int) -> HttpResponse:
    """Take machines out of the draft: those of one reason (`code`) or single ones (`target`); the form is saved as well."""
    try:
        with transaction.atomic():
            attempt = save(request, *change_or_404(request, pk))
            if attempt.outcome is SaveOutcome.NOT_SAVED:
                return _redisplay(request, attempt)
            change, now = change_or_404(request, pk)
            reasons = _reasons(request.POST, change, now)
            number = drafts.leave_out(actor=request.user, change_id=pk, reasons=reasons, now=now)
    except Refused as refused:
        # What had been saved is rolled back with it.
        return _redisplay(request, replace(attempt, outcome=SaveOutcome.NOT_SAVED, refused=refused))
    messages.success(request, f"Left out {count(number, 'machine')}.", extra_tags="ok")
    return _to_draft(request, pk)


@require_POST
@sensitive_post_parameters("password")
def submit(request: Request, pk: int) -> HttpResponse:
    """Save what was typed and ask for a review. If something stands in the way, nothing that was typed is lost."""
    attempt = save(request, *change_or_404(request, pk), submitting=True)
    if attempt.outcome is SaveOutcome.SUBMITTED:
        return redirect_to(request, "change", pk)
    return _redisplay(request, attempt, submitting=True)


@require_POST
def discard(request: Request, pk: int) -> HttpResponse:
    """Cancel the draft. Its number is not used again, since the audit trail speaks of it."""
    change, now = change_or_404(request, pk)
    try:
        drafts.discard(actor=request.user, change_id=pk, now=now)
    except Refused as refused:
        return answer_refusal(request, pk, refused, act="discard")
    messages.success(request, f"Draft #{change.pk} is discarded. No machine was touched.", extra_tags="ok")
    return redirect_to(request, "changes")


def _visible(request: Request, pk: int) -> tuple[Change, datetime, bool]:
    """Return the change, the database's time, and whether the person may edit it: in one query beside their grants."""
    changes = visible_changes(request.user).annotate(editable=whether_covered(request.user, Role.OPERATOR))
    found = at_its_time(changes, pk)
    if found is None:
        raise Http404
    return *found, bool(getattr(found[0], "editable", False))


def _editable(request: Request, pk: int) -> tuple[Change, datetime]:
    """Return the change for one who may edit it; 404 for one who may not see it, 403 for all others."""
    change, now, editable = _visible(request, pk)
    if not editable:
        raise PermissionDenied("A draft is checked for those who may edit it.")
    return change, now


def _redisplay(request: Request, attempt: Attempt, *, submitting: bool = False) -> HttpResponse:
    """Show the draft with everything that was typed, and why it was not carried out."""
    change, now, form, refused = attempt.change, attempt.now, attempt.form, attempt.refused
    saved, act = attempt.outcome is SaveOutcome.SAVED, "submit" if submitting else "edit"
    if refused and refused.kind == "forbidden":
        return answer_refusal(request, change.pk, refused, act=act)
    # Somebody who was refused before anything was saved reads of that alone, not of what a review would need besides.
    for_review = submitting and (saved or refused is None)
    if saved or refused:
        # The draft is no longer the one that the form was made for: it holds what was typed (a password is sealed and
        # shows as sealed), or what somebody else typed.
        change, now = change_or_404(request, change.pk)
        form = make_form(request, change, now, data=request.POST, lenient=not for_review)
        form.is_valid()
    elif for_review:
        form.is_complete()
    # Whoever reads that somebody else was faster may save over it; until then the page speaks of what it showed.
    seen = "" if saved or isinstance(refused, Overtaken) else request.POST.get("seen", "")
    if not saved and request.POST.get("password") and "password" not in form.errors:
        form.say("password", "warn", "It was not kept, since something else does not fit.", "Type it again.")
    if refused:
        record_refusal(request, refused, act=act, change=change)
        form.refuse(refused)
    outcome = SENTENCES[attempt.outcome] if for_review else ""
    return draft_page(request, change, now, form, as_errors=for_review, outcome=outcome, seen=seen)


def _reasons(typed: QueryDict, change: Change, now: datetime) -> dict[int, tuple[str, str]]:
    """Return the targets to leave out, each with code and reason; Refused where none of them is in the draft any more."""
    if typed.getlist("target"):
        chosen = ids_of(typed.getlist("target"))
        reasons = dict.fromkeys(change.targets.filter(pk__in=chosen).values_list("pk", flat=True), BY_HAND)
    else:
        judgement = judge_draft(change=change, disk_request=disk_request_of(change), now=now)
        reasons = targets_of(typed.get("code", ""), judgement)
    if not reasons:
        raise Refused("No machine of the draft is meant by this any more. Look at what follows now.", kind="moved")
    return reasons


def _url(pk: int) -> str:
    return reverse("draft", args=[pk])


def _to_draft(request: Request, pk: int) -> HttpResponse:
    """Go back to the draft, to the part of the page that the person was working on."""
    query = {name: request.POST[name] for name in ("q", "list") if request.POST.get(name)}
    place = "#machines" if "list" in query else "#image" if "q" in query else ""
    return redirect_to(request, f"{_url(pk)}{'?' + urlencode(query) if query else ''}{place}")
