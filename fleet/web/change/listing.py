"""The list of changes, and the one page of each."""

from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from fleet.changes.permissions import acts_for
from fleet.changes.queries import listing
from fleet.models import ChangeState
from fleet.models.changes import OPEN
from fleet.web.change.checking.page import PAGE as CHECKING
from fleet.web.change.checking.page import checking_context
from fleet.web.change.show import change_or_404, page_of_state
from fleet.web.shared.htmx import Request, redirect_to
from fleet.web.shared.numbers import id_of
from fleet.web.shared.scope import visible_changes
from fleet.web.shared.waiting import to_decide, to_review, to_start

SIZE = 25
BEGIN = "Tick machines on the page Instances and press Change OS."


@dataclass(frozen=True, slots=True)
class View:
    """One of the views of the list: its name in the address, its label, which changes it has, what it says when empty."""

    name: str
    words: str
    which: Q
    empty: str


@require_safe
def changes(request: Request) -> HttpResponse:
    """List changes, newest first, in pages by number of the change."""
    user = request.user
    visible = visible_changes(user)
    waiting = (
        Q(pk__in=to_review(user).values("pk"))
        | Q(pk__in=to_start(user).values("pk"))
        | Q(pk__in=to_decide(user).values("pk"))
    )
    views = [
        View("open", "Open", Q(state__in=OPEN), f"Nothing is open. {BEGIN}"),
        View("mine", "Mine", Q(author=user.pk), f"You have written no change. {BEGIN}"),
        View("waiting", "Waiting for me", waiting, "Nothing waits for you: no review, no start, no held machine."),
        View("all", "All", Q(), f"No change has been made yet. {BEGIN}"),
    ]
    wanted = request.GET.get("view", "open")
    view = next((view for view in views if view.name == wanted), views[0])
    rows = listing(visible.filter(view.which)).order_by("-pk")
    before = id_of(request.GET.get("before"))
    if before:
        rows = rows.filter(pk__lt=before)
    page = list(rows[: SIZE + 1])
    context = {
        "views": [(each, visible.filter(each.which).count()) for each in views],
        "view": view,
        "rows": page[:SIZE],
        "older": page[SIZE - 1].pk if len(page) > SIZE else 0,
        "newest": bool(before),
    }
    return render(request, "change/list.html", context)


@require_safe
def change(request: Request, pk: int) -> HttpResponse:
    """Show a change as its state has it: draft, check, review or run."""
    found, now = change_or_404(request, pk)
    if found.state == ChangeState.DRAFT and acts_for(found, request.user, now)["edit"].allowed:
        return redirect("draft", pk)
    return page_of_state(request, found, now)


@require_safe
def checking_live(request: Request, pk: int) -> HttpResponse:
    """Answer the poll of a check; once it has ended, send the page on."""
    found, now = change_or_404(request, pk)
    if found.state != ChangeState.CHECKING or not request.htmx:
        return redirect_to(request, "change", pk)
    return render(request, f"{CHECKING}#progress", checking_context(found, now))
