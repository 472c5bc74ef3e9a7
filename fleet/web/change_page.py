"""What all screens of a change share: finding it, and saying no with everything still on the page."""

from datetime import datetime

from django.db import transaction
from django.http import Http404, HttpResponse

from fleet.audit.trail import record
from fleet.changes.looks import looked
from fleet.changes.queries import at_its_time
from fleet.changes.refused import Refused
from fleet.models import Change, ChangeState
from fleet.web.checking_page import checking_page
from fleet.web.draft_page import draft_for_others
from fleet.web.htmx import Request
from fleet.web.review_page import review_page
from fleet.web.run_page import run_page
from fleet.web.scope import visible_changes

STATUS = {"forbidden": 403, "moved": 409, "wrong": 422}


def found(request: Request, pk: int) -> tuple[Change, datetime]:
    """Return the change and the database's time, or answer 404 where the person may not see it.

    The change has `looked`, what the person saw of it last, for `fleet.changes.looks.is_same`.
    """
    answer = at_its_time(visible_changes(request.user).annotate(looked=looked(request.user)), pk)
    if answer is None:
        raise Http404
    return answer


def shown(request: Request, change: Change, now: datetime, *, refused: Refused | None = None) -> HttpResponse:
    """Render the page that a change has in its present state, with the sentence of a refusal on top."""
    status = STATUS[refused.kind] if refused else 200
    if change.state == ChangeState.DRAFT:
        return draft_for_others(request, change, now, refused=refused, status=status)
    if change.state == ChangeState.CHECKING:
        return checking_page(request, change, now, refused=refused, status=status)
    if change.started_at:
        return run_page(request, change, now, refused=refused, status=status)
    return review_page(request, change, now, refused=refused, status=status)


def refuse(request: Request, pk: int, refused: Refused, *, act: str) -> HttpResponse:
    """Answer a refused act with the page as it is now; the refusal goes on the trail."""
    change, now = found(request, pk)
    note_refusal(request, refused, act=act, change=change)
    return shown(request, change, now, refused=refused)


@transaction.atomic
def note_refusal(request: Request, refused: Refused, *, act: str, change: Change | None = None) -> None:
    """Write a refused act on the audit trail, in a transaction of its own: the act's was rolled back."""
    # A draft that is not filled in yet is no refusal worth keeping.
    if refused.kind != "forbidden" and (change is None or change.state == ChangeState.DRAFT):
        return
    record(
        action="person.refused",
        actor=request.user,
        subject=f"{act} {change}" if change else act,
        change=change,
        data={"act": act, "kind": refused.kind, "why": refused.sentence},
    )
