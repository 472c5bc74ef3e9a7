"""Drafting: from ticked machines to a change that is submitted."""

from datetime import datetime

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fleet.changes import drafting
from fleet.changes.permissions import acts_for
from fleet.changes.plan import judge, wish_of
from fleet.changes.refused import Refused
from fleet.lib.clock import DatabaseClock
from fleet.lib.text import count
from fleet.models import Change
from fleet.web.change_page import STATUS, found, note_refusal, refuse
from fleet.web.draft_findings import JUDGED, tell
from fleet.web.draft_form import DraftForm
from fleet.web.draft_images import picker
from fleet.web.draft_page import PAGE, draft_page, follows_context, listed_page, make_form, ref_of
from fleet.web.forms import fault, validated
from fleet.web.htmx import Request, go, wants_partial
from fleet.web.paging import number_of

BY_HAND = ("by_hand", "Left out by hand")


@require_POST
def new(request: Request) -> HttpResponse:
    """Freeze the machines that were ticked into a new draft."""
    pks = {int(pk) for pk in request.POST.getlist("instance") if pk.isascii() and pk.isdecimal() and len(pk) < 19}
    now = DatabaseClock().now()
    try:
        change = drafting.create_draft(actor=request.user, instance_pks=pks, now=now)
    except Refused as refused:
        note_refusal(request, refused, act="draft a change")
        return render(request, "changes/refused.html", {"refused": refused}, status=STATUS[refused.kind])
    return go(request, "draft", change.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
def draft(request: Request, pk: int) -> HttpResponse:
    """Show the draft, or save what was typed."""
    change, now = found(request, pk)
    if request.method != "POST":
        if not acts_for(change, request.user, now)["edit"].allowed:
            return redirect("change", pk)
        return draft_page(request, change, now, make_form(request, change))
    form = make_form(request, change, data=request.POST, lenient=True)
    answer = _save(request, pk, form)
    if answer is not None:
        return answer
    if "look" not in request.POST:
        messages.success(request, "The draft is saved.", extra_tags="ok")
    return _to_draft(request, pk)


@require_POST
@sensitive_post_parameters("password")
def follows(request: Request, pk: int) -> HttpResponse:
    """Judge the form as it is typed, unsaved, and answer the right side."""
    change, now = found(request, pk)
    form = make_form(request, change, data=request.POST, lenient=True)
    form.is_valid()
    plan = judge(change=change, wish=form.wish(), now=now)
    return render(request, f"{PAGE}#follows", follows_context(change, form, plan, now) | {"live": True})


@require_POST
@sensitive_post_parameters("password")
def validate(request: Request, pk: int, field: str) -> HttpResponse:
    """Answer the feedback of one field of the form as it is typed, unsaved."""
    change, now = found(request, pk)
    form = make_form(request, change, data=request.POST)
    form.is_valid()
    plan = judge(change=change, wish=form.wish(), now=now) if field in JUDGED else None
    if field in form.fields:
        tell(form, plan)
    return validated(request, form, field)


@require_safe
def images(request: Request, pk: int) -> HttpResponse:
    """Answer the images that fit a search; the chosen one stays."""
    change, now = found(request, pk)
    if not wants_partial(request):
        return redirect("draft", pk)
    instances = [target.instance for target in change.targets.select_related("instance")]
    chosen, q = request.GET.get("image_id", ""), request.GET.get("q", "")
    form = make_form(request, change, machines=len(instances))
    context = {
        "change": change,
        "form": form,
        "now": now,
        "picker": picker(instances=instances, q=q, chosen=chosen, today=now.date()),
    }
    return render(request, "changes/_images.html", context)


@require_safe
def machines(request: Request, pk: int) -> HttpResponse:
    """Answer one page of the machines of a draft, with what was found for each."""
    change, now = found(request, pk)
    number = number_of(request.GET.get("list"))
    if not wants_partial(request):
        return redirect(f"{_url(pk)}?list={number}#machines")
    plan = judge(change=change, wish=wish_of(change), now=now)
    return render(request, "changes/_draft_machines.html", {"change": change, "list": listed_page(plan, number)})


@require_POST
@sensitive_post_parameters("password")
def leave_out(request: Request, pk: int) -> HttpResponse:
    """Take the machines of one reason (`code`), or single ones (`target`), out of the draft; the form is saved with it."""
    change, _ = found(request, pk)
    form = make_form(request, change, data=request.POST, lenient=True)
    answer = _save(request, pk, form, act="edit")
    if answer is not None and answer.status_code != 422:
        return answer
    change, now = found(request, pk)
    try:
        reasons = _reasons(request.POST, change, form, now)
        number = drafting.leave_out(actor=request.user, change_id=pk, reasons=reasons, now=now)
    except Refused as refused:
        return _again(request, pk, refused, act="edit")
    if answer is not None:
        # Something typed does not fit: the page stays with it, and only the machines are gone.
        return _again(request, pk, None, act="edit", said=f"Left out {count(number, 'machine')}.")
    messages.success(request, f"Left out {count(number, 'machine')}.", extra_tags="ok")
    return _to_draft(request, pk)


@require_POST
@sensitive_post_parameters("password")
def submit(request: Request, pk: int) -> HttpResponse:
    """Save what was typed, then ask for a review. Whatever stands in the way, nothing that was typed is lost."""
    change, _ = found(request, pk)
    form = make_form(request, change, data=request.POST)
    fits = form.is_valid()
    try:
        now = DatabaseClock().now()
        drafting.edit_draft(actor=request.user, change_id=pk, settings=form.settings(), now=now)
        if fits:
            drafting.submit(actor=request.user, change_id=pk, now=now)
    except Refused as refused:
        return _again(request, pk, refused, act="submit", strict=True)
    if not fits:
        return _again(request, pk, None, act="submit", strict=True, said="Nothing was submitted.")
    return go(request, "change", pk)


@require_POST
def discard(request: Request, pk: int) -> HttpResponse:
    """Cancel the draft; its number stays on the trail."""
    change, now = found(request, pk)
    try:
        drafting.discard(actor=request.user, change_id=pk, now=now)
    except Refused as refused:
        return refuse(request, pk, refused, act="discard")
    messages.success(request, f"Draft #{change.pk} is discarded. No machine was touched.", extra_tags="ok")
    return go(request, "changes")


def _save(request: Request, pk: int, form: DraftForm, *, act: str = "edit") -> HttpResponse | None:
    """Save every field that fits; return the page to show where something does not, or where saving is refused."""
    fits = form.is_valid()
    now = DatabaseClock().now()
    try:
        drafting.edit_draft(actor=request.user, change_id=pk, settings=form.settings(), now=now)
    except Refused as refused:
        return _again(request, pk, refused, act=act)
    if fits:
        return None
    return _again(request, pk, None, act=act, said="What fits is saved, and the rest is not.")


def _again(
    request: Request, pk: int, refused: Refused | None, *, act: str, strict: bool = False, said: str = ""
) -> HttpResponse:
    """Show the draft with everything that was typed, and why it was not carried out.

    The form is made anew: a password that fits has been sealed meanwhile, and shows as sealed.
    """
    change, now = found(request, pk)
    if refused and refused.kind == "forbidden":
        return refuse(request, pk, refused, act=act)
    form = make_form(request, change, data=request.POST, lenient=not strict)
    form.is_valid()
    if refused and refused.kind == "wrong":
        name = refused.field if refused.field in form.fields else None
        if name is None or name not in form.errors:
            form.add_error(name, fault(refused.sentence))
        said, refused = said or "Nothing was submitted.", None
    status = STATUS[refused.kind] if refused else 422
    return draft_page(request, change, now, form, refused=refused, status=status, as_errors=strict, said=said)


def _reasons(typed: QueryDict, change: Change, form: DraftForm, now: datetime) -> dict[int, tuple[str, str]]:
    """Return the machines to leave out, each with code and reason."""
    if typed.getlist("target"):
        chosen = {int(pk) for pk in typed.getlist("target") if pk.isascii() and pk.isdecimal() and len(pk) < 19}
        reasons = dict.fromkeys(change.targets.filter(pk__in=chosen).values_list("pk", flat=True), BY_HAND)
    else:
        code = typed.get("code", "")
        plan = judge(change=change, wish=form.wish(), now=now)
        reasons = {
            judged.target.pk: (problem.code, problem.why)
            for judged in plan.judged
            if (problem := judged.refusal) and code in (problem.code, ref_of(problem.code, problem.why))
        }
    if not reasons:
        raise Refused("No machine of the draft is meant by this any more. Look at what follows now.", kind="moved")
    return reasons


def _url(pk: int) -> str:
    return reverse("draft", args=[pk])


def _to_draft(request: Request, pk: int) -> HttpResponse:
    """Go back to the draft, to the part that the person was at."""
    query = {name: request.POST[name] for name in ("q", "list") if request.POST.get(name)}
    place = "#machines" if "list" in query else "#image" if "q" in query else ""
    return go(request, f"{_url(pk)}{'?' + urlencode(query) if query else ''}{place}")
