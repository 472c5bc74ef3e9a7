"""How a refusal of a use case is answered: the status of the page, and the event on the audit trail."""

from django.db import transaction

from fleet.audit.trail import record
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState
from fleet.web.shared.forms import Form
from fleet.web.shared.htmx import Request

STATUS = {"forbidden": 403, "moved": 409, "wrong": 422}


def status_of(*forms: Form) -> int:
    """Return the status of a page with these forms: of what was refused, 422 where a field is wrong, else 200."""
    refused = next((form.refused for form in forms if form.refused), None)
    wrong = any(form.errors for form in forms)
    return STATUS[refused.kind] if refused else 422 if wrong else 200


@transaction.atomic
def record_refusal(request: Request, refused: Refused, *, act: str, change: Change | None = None) -> None:
    """Put a refused act on the audit trail, in a transaction of its own: that of the act was rolled back."""
    # That a draft is not complete yet, or that a field is wrong, is nothing to keep for ever.
    if refused.kind != "forbidden" and (change is None or change.state == ChangeState.DRAFT):
        return
    record(
        action="person.refused",
        actor=request.user,
        subject=f"{act} {change}" if change else act,
        change=change,
        data={"act": act, "kind": refused.kind, "why": refused.sentence},
    )
