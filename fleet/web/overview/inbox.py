"""The inbox: what waits for this person, what they approved, and what has changed since they looked."""

from dataclasses import dataclass

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from fleet.lib.clock import DatabaseClock
from fleet.lib.text import count
from fleet.models import Approval, Look
from fleet.web.overview.figures import todo
from fleet.web.shared.htmx import Request
from fleet.web.shared.scope import visible_changes
from fleet.web.shared.waiting import approved_by, moved_since

MOST = 50


@dataclass(frozen=True, slots=True)
class OwnApproval:
    """An approval that this person gave, whether it still counts (`holds`), and that in words (`words`)."""

    approval: Approval
    holds: bool
    words: str


@require_safe
def inbox(request: Request) -> HttpResponse:
    """Show the three lists, each at most fifty long."""
    now = DatabaseClock().now()
    visible = visible_changes(request.user)
    given = approved_by(request.user, now).filter(change__in=visible)[:MOST]
    moved = moved_since(request.user).filter(change__in=visible)[:MOST]
    context = {
        "now": now,
        "todo": todo(request.user),
        "given": [_own(approval) for approval in given],
        "moved": [(look, _moved(look)) for look in moved],
    }
    return render(request, "overview/inbox.html", context)


def _own(approval: Approval) -> OwnApproval:
    if approval.voided_at:
        return OwnApproval(approval, False, f"void: {approval.void_reason}")
    if not approval.holds:  # type: ignore[attr-defined]
        return OwnApproval(approval, False, "it no longer holds: the change moved, or the approval ran out")
    return OwnApproval(approval, True, "it holds")


def _moved(look: Look) -> str:
    """Return in words what has changed since the person looked."""
    change, comments = look.change, look.comments_now - look.comments  # type: ignore[attr-defined]
    parts = []
    if look.revision != change.revision:
        parts.append(f"revision {look.revision} is now {change.revision}")
    if comments > 0:
        parts.append(count(comments, "new comment"))
    return " and ".join(parts)
