"""The page of a review: what is lost, what changes, who is left out, and the decision."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from fleet.changes.queries import left_out_of
from fleet.changes.review import last_seen
from fleet.changes.review.groups import Group, Grouped, grouped
from fleet.changes.review.requirements import Assessed, Requirement, assess
from fleet.guards.policy import Policy
from fleet.lib.refused import Refused
from fleet.lib.text import count, listed
from fleet.models import Change, Decision
from fleet.web.change.review.facts import after_replacement, course_of, facts, steps_of, stop_rules
from fleet.web.shared.htmx import Request
from fleet.web.shared.numbers import id_of

PAGE = "review/review.html"
# Conditions that get no line while they are met: another part of the page shows them, or they are nearly always met.
UNSAID = frozenset({"state", "role", "kill"})
GLYPHS = {
    "contributed": "block",
    "role": "block",
    "already": "ok",
    "fresh": "clock",
    "window": "clock",
    "freeze": "freeze",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the box that says why the button is on or off; `groups` are those that it asks the person to look at."""

    status: str
    glyph: str
    words: str
    code: str
    groups: list[Group]


def review_page(
    request: Request, change: Change, now: datetime, *, refused: Refused | None = None, status: int = 200
) -> HttpResponse:
    """Render the review in any state that has one. After a refusal what was typed is still there."""
    what = grouped(change)
    policy = Policy.of(change.policy)
    course = course_of(change, policy, what)
    comments = list(change.comments.select_related("author", "instance").order_by("at", "pk"))
    seen: list[int] | None = change.looked  # type: ignore[attr-defined]
    same = bool(seen) and last_seen.still_shows(seen or [], change, machines=what.machines, comments=len(comments))
    look = last_seen.last_look(request.user, change) if seen and not same else None
    moved = last_seen.moved_since(change, look, comments=len(comments)) if look else None
    assessed = assess(change, request.user, now, what=what)
    opens = assessed.window.hours.opens_at
    context = decide_context(request, change, now, what, assessed, refused=refused) | {
        "facts": facts(change, what, policy, course, assessed.window, now),
        "opens_later": opens if opens and opens > now else None,
        "policy": policy,
        "course": course,
        "kept": after_replacement(change, what.carries),
        "stops": stop_rules(policy),
        "steps": steps_of(policy),
        "moved": moved,
        "look": look,
        "left_out": left_out_of(change),
        "comments": comments,
        "group_names": {group.key: f"{group.was} becomes {group.becomes}" for group in what.groups},
        "comments_on": Counter(comment.group_key for comment in comments if comment.group_key),
        "about": _about(request, change),
        "system": listed(what.new_systems),
        "login": {
            "linux": what.carries.linux,
            "windows": what.carries.windows,
            "has_password": change.secret_id is not None,
        },
        "places": sorted((place, image, how) for place, (image, how) in change.images.items()),
        "one_image": len({image for image, _ in change.images.values()}) < 2,
    }
    answer = render(request, PAGE, context, status=status)
    if not same:
        last_seen.remember_look(request.user, change, now, machines=what.machines, comments=len(comments))
    return answer


def decide_context(
    request: Request,
    change: Change,
    now: datetime,
    what: Grouped,
    assessed: Assessed,
    *,
    refused: Refused | None = None,
) -> dict[str, Any]:
    """Return what the box with the decision needs; the box is rendered alone when a group has been marked as seen."""
    valid = {approval.pk for approval in assessed.approvals}
    unseen = [group for group in what.warning_groups if group.key not in assessed.seen]
    wrong = refused if refused and refused.kind == "wrong" and refused.field else None
    return {
        "change": change,
        "now": now,
        "what": what,
        "acts": assessed.acts,
        "approvals": assessed.decisions,
        "valid": assessed.approvals,
        "struck": [
            given for given in assessed.decisions if given.decision == Decision.APPROVE and given.pk not in valid
        ],
        "seen": assessed.seen,
        "lines": [
            _line(condition, unseen)
            for condition in assessed.requirements
            if condition.code not in UNSAID or not condition.ok
        ],
        "ready": assessed.may_approve,
        "off": _why_off(assessed.requirements, unseen),
        "refused": None if wrong else refused,
        "wrong": wrong.field if wrong else "",
        "wrong_words": wrong.sentence if wrong else "",
        "typed": request.POST,
        "in_review": change.is_reviewable,
    }


def _line(condition: Requirement, unseen: list[Group]) -> Line:
    words, code = condition.words, condition.code
    if condition.ok:
        return Line("ok", "ok", words, code, [])
    if code == "approvals":
        return Line("off", "queued", words, code, [])
    glyph = GLYPHS.get(code, "queued" if condition.kind == "must" else "warn")
    return Line("warn", glyph, words, code, unseen if code == "seen" else [])


def _why_off(conditions: list[Requirement], unseen: list[Group]) -> str:
    """Return in one sentence what keeps the button off, or nothing."""
    unmet = [condition for condition in conditions if condition.kind == "must" and not condition.ok]
    if not unmet:
        return ""
    if [condition.code for condition in unmet] == ["seen"]:
        return f"Off until {count(len(unseen), 'warning is', 'warnings are')} marked as seen."
    return unmet[0].words


def machine_of(about: str) -> int:
    """Return the primary key of the machine that a comment is about (`m` and its number), or 0 where it is about none."""
    return id_of(about[1:]) if about.startswith("m") else 0


def _about(request: Request, change: Change) -> tuple[str, str]:
    """Return what the comment form is about: its value in the form, and for a machine the machine's name (one query)."""
    asked = str(request.POST.get("about", "") or request.GET.get("about", ""))
    if machine := machine_of(asked):
        target = change.targets.filter(instance=machine).select_related("instance").first()
        return (asked, str(target.instance)) if target else ("", "")
    return asked, ""
