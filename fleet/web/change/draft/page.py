"""The page of a draft: choices at the left, and at the right what they lead to."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse

from fleet.changes.drafting.choices import choices_of
from fleet.changes.drafting.rollout import spread_of, waves_in_words
from fleet.changes.judging.judgement import AlikeMachines, DraftJudgement, judge_draft, list_machines
from fleet.changes.judging.refusals import DiskRequest
from fleet.changes.permissions import acts_for
from fleet.guards.policy import Policy
from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.lib.net import is_loopback
from fleet.lib.refused import Refused
from fleet.models import Change
from fleet.web.change.draft.consequences import consequences_context
from fleet.web.change.draft.findings import show_findings
from fleet.web.change.draft.form import DraftForm
from fleet.web.change.draft.images import picker
from fleet.web.shared.htmx import Request
from fleet.web.shared.numbers import number_of
from fleet.web.shared.paging import Page
from fleet.web.shared.refusals import status_of

PAGE = "draft/draft.html"
LISTED = 50


@dataclass(frozen=True, slots=True)
class System:
    """One operating system that machines of a draft have now; `x` and `width` are percent of the bar."""

    label: str
    machines: int
    x: float
    width: float
    ended: bool


def make_form(
    request: Request, change: Change, now: datetime, *, data: QueryDict | None = None, lenient: bool = False
) -> DraftForm:
    """Return the form of a draft, bound to `data` where given: one query."""
    return DraftForm(
        data,
        change=change,
        choices=choices_of(change),
        now=now,
        safe_line=safe_line(request),
        lenient=lenient,
        validate_url=f"{reverse('draft', args=[change.pk])}/validate/",
    )


def safe_line(request: Request) -> bool:
    """Say whether a password may be typed: over HTTPS, or on this very machine without a proxy in between."""
    if request.is_secure() or is_loopback(request.get_host()):
        return True
    address = str(request.META.get("REMOTE_ADDR", ""))  # empty: a socket of this machine
    return (not address or is_loopback(address)) and "HTTP_X_FORWARDED_FOR" not in request.META


def draft_page(
    request: Request,
    change: Change,
    now: datetime,
    form: DraftForm,
    *,
    as_errors: bool = False,
    outcome: str = "",
    seen: str = "",
) -> HttpResponse:
    """Render the whole page of a draft for somebody who edits it.

    `as_errors` counts every machine that is blocked among the errors of the form; `outcome` is what became of a form with
    errors; `seen` is the last edit that the person knows of, where it is not the present one.
    """
    disk_request = form.disk_request()
    judgement = judge_draft(change=change, disk_request=disk_request, now=now)
    context = consequences_context(change, form, judgement, now)
    show_findings(form, judgement, as_errors=as_errors)
    number = number_of(request.GET.get("list"))
    context |= {
        "picker": picker(
            alike_machines=judgement.alike_machines,
            q=request.GET.get("q", ""),
            chosen=disk_request.image_id,
            today=now.date(),
        ),
        "systems": _systems(judgement.alike_machines, now),
        "refused": form.refused,
        "outcome": outcome,
        "seen": seen or change.edited_at.isoformat(),
        "returned": form.choices.returned,
        "left_out": form.choices.left_out,
        "left_out_total": sum(group.machines for group in form.choices.left_out),
        "list": listed_page(change, judgement, disk_request, now, number) if "list" in request.GET else None,
    }
    return render(request, PAGE, context, status=status_of(form))


def _systems(alike_machines: list[AlikeMachines], now: datetime) -> list[System]:
    counted: Counter[str] = Counter()
    for alike in alike_machines:
        counted[os_label(alike.machine.os_name) or "Not known"] += alike.machines
    total, x, systems = counted.total(), 0.0, []
    for label, machines in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])):
        width = 100 * machines / total
        ends = end_of_life(label)
        ended = bool(ends and ends < now.date())
        systems.append(System(label, machines, round(x, 2), round(max(width - 0.3, 0.3), 2), ended))
        x += width
    return systems


def listed_page(
    change: Change, judgement: DraftJudgement, disk_request: DiskRequest, now: datetime, number: int
) -> Page:
    """Return one page of the machines, blocked ones first, then those with warnings."""
    start = (number - 1) * LISTED
    rows = list_machines(
        change=change, judgement=judgement, disk_request=disk_request, now=now, start=start, limit=LISTED
    )
    return Page(rows, start + 1, LISTED, judgement.total > start + LISTED, number > 1, total=judgement.total)


def draft_for_others(
    request: Request, change: Change, now: datetime, *, refused: Refused | None = None, status: int = 200
) -> HttpResponse:
    """Render a draft for somebody who may look and not edit."""
    machines, policy = change.targets.count(), Policy.of(change.policy)
    domains = spread_of(change, policy.spread_tag, without=[]) if policy.spread_tag else [""] * machines
    context = {
        "change": change,
        "now": now,
        "acts": acts_for(change, request.user, now),
        "refused": refused,
        "machines": machines,
        "policy": policy,
        "rollout": waves_in_words([len(wave) for wave in policy.waves(domains)]),
        "comments": list(change.comments.select_related("author").order_by("at", "pk")),
        "decisions": list(change.approvals.select_related("reviewer").defer("leaves").order_by("at")),
    }
    return render(request, "draft/read_only.html", context, status=status)
