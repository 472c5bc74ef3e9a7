"""The page of a review: what is lost, what changes, who is left out, and the decision."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from fleet.changes.permissions import Act, acts_for
from fleet.changes.queries import TO_NOTE, Grouped, grouped, left_out_of
from fleet.changes.refused import Refused
from fleet.changes.review import APPROVALS_NEEDED
from fleet.engine.policy import Policy
from fleet.lib.text import age, count, listed
from fleet.models import Approval, Change, ChangeState, Decision, Login
from fleet.web.htmx import Request

PAGE = "changes/review.html"
FRESH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that an approval needs: whether it is so, in words."""

    status: str
    glyph: str
    words: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What becomes of one thing that hangs on the old disk or the old system."""

    what: str
    becomes: str
    good: bool


def review_page(
    request: Request, change: Change, now: datetime, *, refused: Refused | None = None, status: int = 200
) -> HttpResponse:
    """Render the review in any state that has one; a refused field keeps what was typed."""
    acts = acts_for(change, request.user, now)
    approvals = list(change.approvals.select_related("reviewer").defer("leaves").order_by("at", "pk"))
    valid = [one for one in approvals if _holds(one, change, now)]
    what = grouped(change)
    policy = Policy.of(change.policy)
    field_refused = refused if refused and refused.kind == "wrong" else None
    context = {
        "change": change,
        "now": now,
        "acts": acts,
        "what": what,
        "policy": policy,
        "worst": policy.worst_case(what.machines),
        "nth": policy.failures_allowed + 1,
        "to_note": TO_NOTE,
        "kept": kept(change, what),
        "left_out": left_out_of(change),
        "approvals": approvals,
        "valid": valid,
        "comments": list(change.comments.select_related("author").order_by("at", "pk")),
        "requirements": requirements(
            change, acts["approve"], valid, what, now, author=change.author_id == request.user.pk
        ),
        "refused": None if field_refused and field_refused.field else refused,
        "wrong": field_refused.field if field_refused else "",
        "wrong_words": field_refused.sentence if field_refused else "",
        "typed": request.POST,
        "in_review": change.state == ChangeState.IN_REVIEW,
        "system": listed(what.new_systems),
        "login": login_words(change, what),
    }
    return render(request, PAGE, context, status=status)


def _holds(one: Approval, change: Change, now: datetime) -> bool:
    """Say whether an approval counts now: the conditions of fleet.changes.review.valid_approvals, on rows already read."""
    return (
        one.decision == Decision.APPROVE
        and one.revision == change.revision
        and one.spec_digest == change.spec_digest
        and one.voided_at is None
        and one.expires_at is not None
        and one.expires_at > now
    )


def requirements(
    change: Change, approve: Act, valid: list[Approval], what: Grouped, now: datetime, *, author: bool
) -> list[Requirement]:
    """Return the list that says why the button is on or off."""
    found = []
    if approve.allowed:
        found.append(Requirement("ok", "ok", "You had no hand in this change"))
    elif change.state == ChangeState.IN_REVIEW:
        why = "You wrote this change; somebody who had no hand in it approves it." if author else approve.why
        found.append(Requirement("off", "block", why))
    if change.checked_at:
        old = now - change.checked_at
        fresh = old < FRESH
        words = f"Checked {age(old.total_seconds())} ago: nothing is blocked"
        again = "" if fresh else "; each disk is read again before it is replaced"
        found.append(Requirement("ok" if fresh else "warn", "ok" if fresh else "clock", words + again))
    if what.warned:
        found.append(Requirement("warn", "warn", f"{count(what.warned, 'machine')} with warnings: read them first"))
    if change.state in (ChangeState.IN_REVIEW, ChangeState.APPROVED):
        enough = len(valid) >= APPROVALS_NEEDED
        words = f"{len(valid)} of {count(APPROVALS_NEEDED, 'approval')}"
        found.append(Requirement("ok" if enough else "off", "ok" if enough else "queued", words))
    return found


def kept(change: Change, what: Grouped) -> list[Kept]:
    """Return what the new disks will carry and what they will not, as the engine puts it back."""
    carries, found = what.carries, []
    found.append(Kept("Everything on the system disk", "lost: programs, settings, logs, files", False))
    if carries.snapshot_policy:
        on = count(carries.snapshot_policy, "machine")
        found.append(Kept(f"Automatic snapshot policy, on {on}", "put back on the new disk", True))
    if carries.disk_tags:
        found.append(
            Kept(f"Tags of the disk, on {count(carries.disk_tags, 'machine')}", "put back on the new disk", True)
        )
    if carries.key_pair:
        on = count(carries.key_pair, "machine")
        if change.login == Login.IMAGE:
            found.append(Kept(f"Key pair of now, on {on}", "bound again", True))
        elif change.login == Login.KEY_PAIR:
            found.append(Kept(f"Key pair of now, on {on}", f"replaced by {change.key_pair} on Linux", True))
        else:
            words = "not bound again: binding it would turn the password off on Linux"
            found.append(Kept(f"Key pair of now, on {on}", words, False))
    if carries.running:
        found.append(Kept(f"Power, {count(carries.running, 'machine')} running", "stopped for it, started again", True))
    if carries.stopped:
        found.append(Kept(f"Power, {count(carries.stopped, 'machine')} stopped", "stays stopped", True))
    found.append(Kept("Data disks, addresses, names, instance ids", "stay as they are", True))
    return found


def login_words(change: Change, what: Grouped) -> dict[str, Any]:
    """Return what the shared words about signing in need."""
    return {"linux": what.carries.linux, "windows": what.carries.windows, "has_password": change.secret_id is not None}
