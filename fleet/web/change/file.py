"""Taking a change further: copying it, downloading it as a file, and drafting one from such a file."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fleet.audit.trail import record_on
from fleet.changes.drafting import change_file
from fleet.changes.drafting.copying import copy_change
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Change, Login, Role
from fleet.web.change.show import answer_refusal, change_or_404
from fleet.web.shared.htmx import Request, redirect_to
from fleet.web.shared.refusals import STATUS, record_refusal
from fleet.web.shared.scope import has_role, wholly_covered


@require_POST
def copy(request: Request, pk: int) -> HttpResponse:
    """Draft the change again, with those of its machines that still exist."""
    change_or_404(request, pk)
    try:
        change = copy_change(actor=request.user, change_id=pk, now=DatabaseClock().now())
    except Refused as refused:
        return answer_refusal(request, pk, refused, act="copy")
    _tell(request, change, f"This is a copy of #{pk}.")
    return redirect_to(request, "draft", change.pk)


@require_safe
def download(request: Request, pk: int) -> HttpResponseBase:
    """Send the change as a file; with `part=spec` only its first line, whose SHA-256 is the digest that is approved."""
    change, _ = change_or_404(request, pk)
    if not Change.objects.filter(wholly_covered(request.user), pk=pk).exists():
        raise PermissionDenied("The file names machines outside your accounts and environments.")
    part = "-spec" if request.GET.get("part") == "spec" else ""
    with transaction.atomic():
        record_on(change, "change.downloaded", request.user)
    headers = {"Content-Disposition": f'attachment; filename="change-{pk}-revision-{change.revision}{part}.jsonl"'}
    if part:
        return HttpResponse(change_file.spec_text(change), content_type="application/x-ndjson", headers=headers)
    return StreamingHttpResponse(change_file.lines(change), content_type="application/x-ndjson", headers=headers)


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: Request) -> HttpResponse:
    """Make a draft of an uploaded file, or say what is wrong in which of its lines."""
    if not has_role(request.user, Role.OPERATOR):
        raise PermissionDenied("Only an operator drafts a change of the operating system.")
    if request.method != "POST":
        return render(request, "change/upload.html")
    file = request.FILES.get("file")
    try:
        if file is None:
            raise Refused("No file is chosen. Choose one that was downloaded from a change.", field="file")
        if (file.size or 0) > change_file.MOST_BYTES:
            raise Refused(
                f"The file is larger than {change_file.MOST_BYTES // 1024**2} MiB: no change is.", field="file"
            )
        change = change_file.upload(actor=request.user, content=file.read(), now=DatabaseClock().now())
    except Refused as refused:
        record_refusal(request, refused, act="draft a change from a file")
        faults = refused.faults if isinstance(refused, change_file.Unfit) else []
        context = {"refused": refused, "faults": faults[:50], "more": len(faults[50:])}
        return render(request, "change/upload.html", context, status=STATUS[refused.kind])
    _tell(request, change, "The draft is made of the file.")
    return redirect_to(request, "draft", change.pk)


def _tell(request: Request, change: Change, message: str) -> None:
    """Add to the message what the new draft does not have of the old change."""
    out = change.left_out.count()
    if out:
        message += f" {count(out, 'machine is', 'machines are')} left out; see why below the list."
    if change.login == Login.PASSWORD:
        message += " The password did not come along: set one."
    messages.success(request, message, extra_tags="ok")
