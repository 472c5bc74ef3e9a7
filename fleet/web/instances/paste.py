"""Choosing by a list: paste or upload ids, names or addresses, read what each entry means, take those that were found."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from fleet.changes.drafting.locks import LOCKERS
from fleet.changes.drafting.pasting import OMITTED, PastedList, PasteKind, look_up
from fleet.changes.drafting.selection import SelectionRequest, digest_of_set, update_selection
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Instance
from fleet.web.instances.selection import Desk, desk_of
from fleet.web.shared.htmx import Request
from fleet.web.shared.numbers import number_of
from fleet.web.shared.paging import Page
from fleet.web.shared.refusals import STATUS
from fleet.web.shared.scope import covered, has_role, visible_instances

MOST_BYTES = 2 * 1024 * 1024
SIZE = 100
KINDS = {
    PasteKind.FOUND: ("ok", "check", "Found"),
    PasteKind.ALREADY: ("off", "check", "Already selected"),
    PasteKind.DUPLICATE: ("off", "copy", "Named twice"),
    PasteKind.SEVERAL: ("warn", "warn", "Several fit"),
    PasteKind.UNKNOWN: ("bad", "unknown", "Nothing fits"),
    PasteKind.GONE: ("bad", "x", "Gone"),
    PasteKind.NOT_PERMITTED: ("bad", "block", "Not permitted"),
}
# What needs a person's eyes first.
FIRST = [*OMITTED, PasteKind.DUPLICATE, PasteKind.ALREADY, PasteKind.FOUND]


@require_http_methods(["GET", "HEAD", "POST"])
def paste(request: Request) -> HttpResponse:
    """Show the field, say what was pasted into it, and take the machines that were found into the selection."""
    if not has_role(request.user, *LOCKERS):
        raise PermissionDenied("Machines are selected by operators and administrators.")
    posted = request.method == "POST"
    desk = desk_of(request.user, (request.POST if posted else request.GET).get("selection"))
    context: dict[str, Any] = {"desk": desk, "text": ""}
    if not posted:
        return render(request, "instances/paste.html", context)
    try:
        context["text"] = text = _text_of(request)
        every = Instance.objects.filter(covered(request.user))
        pasted = look_up(actor=request.user, text=text, visible=every, picked=desk.picked)
        seal = digest_of_set(pasted.machines)
        if request.POST.get("act") == "take" and request.POST.get("seal") == seal:
            return _take(request, desk, pasted)
    except Refused as refused:
        context |= {"refused": refused}
        return render(request, "instances/paste.html", context, status=STATUS[refused.kind])
    context |= {
        "pasted": pasted,
        "seal": seal,
        "moved": request.POST.get("act") == "take",
        "kinds": [(*KINDS[kind], pasted.counts[kind], kind) for kind in KINDS if pasted.counts[kind]],
        "page": _page(pasted, number_of(request.POST.get("page"))),
        "good": len(pasted.machines),
        "omitted": len(pasted.omissions),
    }
    return render(request, "instances/paste.html", context, status=409 if context["moved"] else 200)


def _take(request: Request, desk: Desk, pasted: PastedList) -> HttpResponse:
    asked = SelectionRequest(add=frozenset(pasted.machines), omissions=tuple(pasted.omissions))
    visible = visible_instances(request.user)
    chosen = update_selection(owner=request.user, selection=desk.id, asked=asked, visible=visible, now=desk.now)
    message = f"{count(len(chosen.after - chosen.before), 'machine')} of the list taken into the selection."
    if pasted.omissions:
        message += f" The draft will list {count(len(pasted.omissions), 'entry', 'entries')} as left out."
    messages.success(request, message, extra_tags="ok")
    return redirect(f"{reverse('instances')}?selection={desk.id}")


def _text_of(request: Request) -> str:
    """Return what was pasted, with what was uploaded below it; a file is UTF-8, or UTF-16 as spreadsheets write it."""
    text = request.POST.get("text", "")
    file = request.FILES.get("file")
    if file is None:
        return text
    if (file.size or 0) > MOST_BYTES:
        raise Refused(f"The file is larger than {MOST_BYTES // 1024**2} MiB. Upload a part of it.", field="file")
    content = file.read()
    coding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return "\n".join(filter(None, [text.rstrip(), content.decode(coding)]))
    except UnicodeDecodeError:
        raise Refused("The file is no text. Save it as plain text or CSV in UTF-8.", field="file") from None


def _page(pasted: PastedList, number: int) -> Page:
    order = {kind: place for place, kind in enumerate(FIRST)}
    entries = sorted(pasted.entries, key=lambda entry: (order[entry.kind], entry.line))
    rows = [(*KINDS[entry.kind], entry) for entry in entries]
    start = (number - 1) * SIZE
    if start >= len(rows):
        start = 0
    return Page(rows[start : start + SIZE], start + 1, SIZE, start + SIZE < len(rows), start > 0, len(rows))
