"""What all screens of a change share: finding the change, rendering the page of its state, and answering a refusal."""

from datetime import datetime

from django.http import Http404, HttpResponse

from fleet.changes.queries import at_its_time
from fleet.changes.review.last_seen import look_of
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState
from fleet.web.change.checking.page import checking_page
from fleet.web.change.draft.page import draft_for_others
from fleet.web.change.review.page import review_page
from fleet.web.change.run.page import run_page
from fleet.web.shared.htmx import Request
from fleet.web.shared.refusals import STATUS, record_refusal
from fleet.web.shared.scope import visible_changes


def change_or_404(request: Request, pk: int) -> tuple[Change, datetime]:
    """Return the change and the database's time, or answer 404 where the person may not see it.

    The change has `looked`: what the person saw of it last, as `fleet.changes.review.last_seen.still_shows` takes it.
    """
    found = at_its_time(visible_changes(request.user).annotate(looked=look_of(request.user)), pk)
    if found is None:
        raise Http404
    return found


def page_of_state(request: Request, change: Change, now: datetime, *, refused: Refused | None = None) -> HttpResponse:
    """Render the page of the state that the change is in, with the sentence of a refusal on top if there is one."""
    status = STATUS[refused.kind] if refused else 200
    if change.state == ChangeState.DRAFT:
        return draft_for_others(request, change, now, refused=refused, status=status)
    if change.state == ChangeState.CHECKING:
        return checking_page(request, change, now, refused=refused, status=status)
    if change.started_at:
        return run_page(request, change, now, refused=refused, status=status)
    return review_page(request, change, now, refused=refused, status=status)


def answer_refusal(request: Request, pk: int, refused: Refused, *, act: str) -> HttpResponse:
    """Answer a refused act with the page of the change as it is now, and put the refusal on the audit trail."""
    change, now = change_or_404(request, pk)
    record_refusal(request, refused, act=act, change=change)
    return page_of_state(request, change, now, refused=refused)
