"""The page of the audit trail: whether its chain of hashes is whole, and what happened, newest first."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from itertools import groupby
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from fleet.audit import verify
from fleet.audit.actions import ACTIONS, Action
from fleet.audit.trail import record
from fleet.lib.text import count
from fleet.models import AuditEvent, AuditHead, Instance, Role, User
from fleet.web.shared.htmx import Request, partial, pushed
from fleet.web.shared.numbers import id_of
from fleet.web.shared.paging import older
from fleet.web.shared.scope import covered, has_role, sees_everything, visible_changes

SIZE = 50
MAY_EXPORT = (Role.AUDITOR, Role.ADMIN)
GROUPS = {
    "person": "Sign-ins and refusals",
    "account": "Accounts",
    "mirror": "Mirror",
    "change": "Changes",
    "instance": "Machines",
    "secret": "Passwords",
    "audit": "The trail itself",
    "worker": "Worker",
}
UNKNOWN = Action("{subject}", "info")


class TrailForm(forms.Form):
    """What the trail can be narrowed by. `at` and `number` are the place from which older events are shown."""

    q = forms.CharField(required=False, max_length=200)
    actor = forms.CharField(required=False, max_length=150)
    action = forms.CharField(required=False, max_length=64)
    change = forms.IntegerField(required=False, min_value=1, max_value=2**62)
    since = forms.DateField(required=False)
    until = forms.DateField(required=False)
    at = forms.DateTimeField(required=False)
    number = forms.IntegerField(required=False, min_value=1, max_value=2**62)


def visible_events(user: User) -> QuerySet[AuditEvent]:
    """Return the events that a person may read: all, or those of their own, their machines and their changes."""
    if sees_everything(user):
        return AuditEvent.objects.all()
    machines = Instance.objects.filter(covered(user), pk=OuterRef("instance"))
    changes = visible_changes(user).filter(pk=OuterRef("change"))
    return AuditEvent.objects.filter(Q(actor=user.pk) | Exists(machines) | Exists(changes))


def narrowed(user: User, data: QueryDict) -> tuple[QuerySet[AuditEvent], dict[str, Any]]:
    """Return the events that fit the filter, and the filter as it was read; one that cannot be read leaves no event."""
    form = TrailForm(data)
    events = visible_events(user)
    if not form.is_valid():
        return events.none(), form.cleaned_data
    asked = form.cleaned_data
    if asked["actor"]:
        events = events.filter(actor_name=asked["actor"])
    if asked["action"] in ACTIONS:
        events = events.filter(action=asked["action"])
    elif asked["action"]:
        events = events.filter(action__in=[name for name in ACTIONS if name.startswith(f"{asked['action']}.")])
    if asked["change"]:
        events = events.filter(change=asked["change"])
    if asked["since"]:
        events = events.filter(at__gte=datetime.combine(asked["since"], time.min, UTC))
    if asked["until"]:
        events = events.filter(at__lte=datetime.combine(asked["until"], time.max, UTC))
    if asked["q"]:
        events = events.filter(_about(asked["q"].strip()))
    return events, asked


def _about(text: str) -> Q:
    """Return the condition for a machine, a change (`#12`), an event's number, or a request id of the cloud."""
    condition = Q(request_id=text.upper()) | Q(request_id=text)
    machines = Instance.objects.filter(Q(instance_id=text) | Q(name=text) | Q(disk_id=text))
    condition |= Q(instance__in=list(machines.values_list("pk", flat=True)[:50]))
    if number := id_of(text.removeprefix("#")):
        condition |= Q(change=number) | Q(number=number)
    return condition


@dataclass(frozen=True)
class EventRow:
    """An event as the page shows it: `changes` are fields with their value before and after, `pairs` all other facts."""

    event: AuditEvent
    action: Action
    words: SafeString
    changes: list[tuple[str, Any, Any]]
    pairs: list[tuple[str, Any]]


def event_row(event: AuditEvent) -> EventRow:
    """Put an event into words; the subject is set in bold, wherever the action's sentence has it."""
    action = ACTIONS.get(event.action, UNKNOWN)
    words = format_html(action.words.replace("{subject}", "{0}"), format_html("<b>{}</b>", event.subject))
    data = dict(event.data)
    before, after = data.pop("before", None), data.pop("after", None)
    changes = []
    if isinstance(before, dict) or isinstance(after, dict):
        old, new = before or {}, after or {}
        changes = [(_words(key), old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new])]
    return EventRow(event, action, words, changes, [(_words(key), value) for key, value in data.items()])


def _words(key: str) -> str:
    return re.sub(r"_+", " ", key)


@require_safe
def audit(request: Request) -> HttpResponse:
    """Show a page of events, and above them the state of the chain."""
    events, asked = narrowed(request.user, request.GET)
    # The place has two parts, and one of them alone says nothing.
    at = asked.get("at") if asked.get("number") else None
    page = older(events.select_related("change"), size=SIZE, at=at, number=asked.get("number") or 0)
    context = {
        "page": page,
        "days": [
            (day, list(rows)) for day, rows in groupby(map(event_row, page.rows), key=lambda row: row.event.at.date())
        ],
        "asked": {name: request.GET.get(name, "") for name in ("q", "actor", "action", "change", "since", "until")},
        "narrowed": any(request.GET.get(name) for name in ("q", "actor", "action", "change", "since", "until")),
        "people": User.objects.order_by("username").values_list("username", flat=True)[:200],
        "groups": _groups(),
        "may_export": has_role(request.user, *MAY_EXPORT),
        "exported": request.GET.urlencode(),
        "last": page.rows[-1] if page.rows else None,
        **chain_state(),
    }
    return pushed(request, partial(request, "audit/audit.html", "events", context))


def _groups() -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    for prefix, label in GROUPS.items():
        acts = [(name, _plain(action)) for name, action in ACTIONS.items() if name.startswith(f"{prefix}.")]
        if acts:
            yield prefix, label, acts


def _plain(action: Action) -> str:
    return " ".join(action.words.replace("{subject}", "…").strip(" …:").split())


def chain_state() -> dict[str, Any]:
    """Return the head of the chain, and what its last verification found (two queries)."""
    last = AuditEvent.objects.filter(action="audit.verified").order_by("-at", "-number").first()
    return {"head": AuditHead.objects.first(), "verified": last}


@require_POST
def verify_now(request: Request) -> HttpResponse:
    """Verify the chain now, and put what was found on the trail."""
    if not has_role(request.user, *MAY_EXPORT):
        raise PermissionDenied("Walking the chain needs the role auditor or admin.")
    verdict = verify.verify()
    data = {"events": verdict.events, "head": verdict.head, "whole": verdict.whole, "broken_at": verdict.broken_at}
    with transaction.atomic():
        subject = count(verdict.events, "event")
        record(action="audit.verified", subject=subject, actor=request.user, data={**data, "why": verdict.why})
    if not request.htmx:
        return redirect("audit")
    return render(request, "audit/audit.html#chain", {"may_export": True, **chain_state()})
