"""Saving the form of a draft, or saving and submitting it: one form, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from fleet.changes.drafting import drafts
from fleet.changes.drafting.drafts import NotSubmitted
from fleet.changes.permissions import require
from fleet.lib.refused import Refused
from fleet.models import Change
from fleet.web.change.draft.form import DraftForm
from fleet.web.change.draft.page import make_form
from fleet.web.shared.htmx import Request


class SaveOutcome(Enum):
    """How far a form came."""

    NOT_SAVED = auto()
    SAVED = auto()
    SUBMITTED = auto()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A form that was sent, the draft it was made for, and how far it came; `refused` is why it came no further.

    Without a refusal it is the form that has errors.
    """

    change: Change
    now: datetime
    form: DraftForm
    outcome: SaveOutcome
    refused: Refused | None = None


def save(request: Request, change: Change, now: datetime, *, submitting: bool = False) -> Attempt:
    """Save the form if every field fits as far as a draft needs it, and with `submitting` ask for a review as well.

    What a draft may lack and a review may not keeps it from being submitted, and not from being saved.
    """
    form = make_form(request, change, now, data=request.POST, lenient=True)
    actor, seen = request.user, _seen(request)

    def attempt(outcome: SaveOutcome, refused: Refused | None = None) -> Attempt:
        return Attempt(change, now, form, outcome, refused)

    try:
        require("edit", change, actor, now)
        if not form.is_valid():
            return attempt(SaveOutcome.NOT_SAVED)
        settings = form.settings()
        if submitting and form.is_complete():
            drafts.submit(actor=actor, change_id=change.pk, now=now, settings=settings, seen=seen)
            return attempt(SaveOutcome.SUBMITTED)
        drafts.edit_draft(actor=actor, change_id=change.pk, settings=settings, now=now, seen=seen)
        return attempt(SaveOutcome.SAVED)
    except NotSubmitted as refused:
        return attempt(SaveOutcome.SAVED, refused)
    except Refused as refused:
        return attempt(SaveOutcome.NOT_SAVED, refused)


def _seen(request: Request) -> datetime | None:
    """Return when the draft had been edited last as the page showed it, None where it does not say."""
    try:
        seen = datetime.fromisoformat(request.POST.get("seen", ""))
    except ValueError:
        return None
    return seen if seen.tzinfo else None
