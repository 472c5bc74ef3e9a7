"""The page of a draft: choices at the left, and at the right what follows from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse

from fleet.changes.permissions import acts_for
from fleet.changes.plan import Cause, Judged, Plan, editions_of, judge
from fleet.changes.queries import key_pairs_of, places_of
from fleet.changes.refused import Refused
from fleet.changes.rules import Wish
from fleet.engine.policy import Policy
from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.lib.canonical import digest
from fleet.models import Approval, Change, Decision, Instance
from fleet.web.draft_disk import disks
from fleet.web.draft_findings import tell
from fleet.web.draft_form import DraftForm
from fleet.web.draft_images import picker
from fleet.web.htmx import Request
from fleet.web.paging import Page, number_of

PAGE = "changes/draft.html"
LISTED = 50
LOOPBACK = ("localhost", "127.", "[::1]")


@dataclass(frozen=True, slots=True)
class System:
    """One present system of the machines of a draft."""

    label: str
    machines: int
    x: float
    width: float
    ended: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """Many machines, one reason; `ref` names it when they are left out, `repairs` are values of a field that cure it."""

    machines: int
    why: str
    do: str
    code: str
    ref: str
    repairs: list[tuple[str, str, str]]


def make_form(
    request: Request,
    change: Change,
    *,
    data: QueryDict | None = None,
    lenient: bool = False,
    machines: int | None = None,
) -> DraftForm:
    """Return the form of a draft, bound to `data` where given."""
    places = places_of(change)
    return DraftForm(
        data,
        change=change,
        machines=change.targets.count() if machines is None else machines,
        key_pairs=key_pairs_of(places),
        regions=len({region for _, region in places}),
        editions=lambda: editions_of(change),
        safe_line=safe_line(request),
        lenient=lenient,
        validate_url=f"{reverse('draft', args=[change.pk])}/validate/",
    )


def safe_line(request: Request) -> bool:
    """Say whether a password may be typed: over HTTPS, or on this very machine without a proxy in between."""
    if request.is_secure() or request.get_host().startswith(LOOPBACK):
        return True
    near = str(request.META.get("REMOTE_ADDR", "")) in ("127.0.0.1", "::1", "")
    return near and "HTTP_X_FORWARDED_FOR" not in request.META


def draft_page(
    request: Request,
    change: Change,
    now: datetime,
    form: DraftForm,
    *,
    refused: Refused | None = None,
    status: int = 200,
    as_errors: bool = False,
    said: str = "",
) -> HttpResponse:
    """Render the whole page of a draft for somebody who edits it."""
    plan = judge(change=change, wish=form.wish(), now=now)
    tell(form, plan, as_errors=as_errors)
    chosen = str(form["image_id"].value() or "")
    instances = [judged.target.instance for judged in plan.judged]
    context = follows_context(change, form, plan, now) | {
        "picker": picker(instances=instances, q=request.GET.get("q", ""), chosen=chosen, today=now.date()),
        "systems": _systems(instances, now),
        "refused": refused,
        "said": said,
        "returned": _returned(change),
        "list": listed_page(plan, number_of(request.GET.get("list"))) if "list" in request.GET else None,
    }
    return render(request, PAGE, context, status=status)


def follows_context(change: Change, form: DraftForm, plan: Plan, now: datetime) -> dict[str, Any]:
    """Return what the right side shows: counts, reasons, sizes, login, worst case, and what is still missing."""
    wish, policy = form.wish(), form.policy()
    counting = (plan.total - plan.blocked) or plan.total
    drawn = disks(plan, wish)
    windows = sum(1 for judged in plan.judged if judged.image and judged.image.os_type == "windows")
    return {
        "change": change,
        "form": form,
        "plan": plan,
        "wish": wish,
        "now": now,
        "disks": drawn,
        "reasons": [_reason(cause, drawn.least, wish) for cause in plan.refused],
        "warnings": plan.warned_of,
        "worst": policy.worst_case(counting),
        "counting": counting,
        "unblocked": plan.total - plan.blocked,
        "nth": policy.failures_allowed + 1,
        "windows": windows,
        "linux": plan.total - windows,
        "missing": list(_missing(form)),
        "seen_at": min((judged.target.instance.seen_at for judged in plan.judged), default=now),
    }


def _returned(change: Change) -> list[Approval]:
    """Return why the revision before this one came back, where a reviewer asked for changes."""
    asked = change.approvals.filter(decision=Decision.RETURN, revision=change.revision - 1)
    return list(asked.select_related("reviewer").order_by("-at"))


def _missing(form: DraftForm) -> Iterator[str]:
    """Name what a submit would still ask for."""
    kept = form.settings()
    words = {"image_id": "an image", "title": "a title", "reason": "a reason"}
    yield from (word for name, word in words.items() if not getattr(kept, name).strip())
    if kept.login == "key_pair" and not kept.key_pair:
        yield "a key pair"
    if kept.login == "password" and not form.wish().has_password:
        yield "a password"


def _reason(cause: Cause, least: int, wish: Wish) -> Reason:
    problem = cause.problem
    if problem.field == "key_pair" and not wish.key_pair:
        return Reason(
            len(cause.machines), "No key pair is chosen", "Choose one, or another way to sign in.", "", "", []
        )
    repairs = []
    if problem.field == "disk_size" and problem.code != "InvalidSystemDiskSize.MoreThanMaxSize":
        repairs = [
            ("disk_size", str(least), f"Use {least:,} GiB for all"),
            ("disk_size", "", "Let every disk keep its size"),
        ]
    elif problem.field == "disk_size":
        repairs = [("disk_size", "", "Let every disk keep its size")]
    do = problem.do
    if problem.code == "InvalidSystemDiskSize.ValueNotSupported" and len(cause.machines) > 1:
        sizes = {judged.target.instance.disk_size for judged in cause.machines}
        do = f"They have up to {max(sizes):,} GiB now. Enter {max(sizes):,} or more, or let every disk keep its size."
    return Reason(
        len(cause.machines), problem.why.rstrip("."), do, problem.api_code, ref_of(problem.code, problem.why), repairs
    )


def ref_of(code: str, why: str) -> str:
    """Return the name of a reason in a form: the code, and what tells two sentences of one code apart."""
    return f"{code} {digest(why)[:8]}"


def _systems(instances: list[Instance], now: datetime) -> list[System]:
    counted: dict[str, int] = {}
    for instance in instances:
        label = os_label(instance.os_name) or "Not known"
        counted[label] = counted.get(label, 0) + 1
    total, x, found = len(instances), 0.0, []
    for label, machines in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])):
        width = 100 * machines / total
        ends = end_of_life(label)
        found.append(
            System(label, machines, round(x, 2), round(max(width - 0.3, 0.3), 2), bool(ends and ends < now.date()))
        )
        x += width
    return found


def listed_page(plan: Plan, number: int) -> Page:
    """Return one page of the machines, blocked ones first, then those with warnings."""

    def order(judged: Judged) -> tuple[bool, bool, int]:
        return (judged.refusal is None, not judged.problems, judged.target.position)

    rows = sorted(plan.judged, key=order)
    start = (number - 1) * LISTED
    return Page(
        rows[start : start + LISTED], start + 1, LISTED, len(rows) > start + LISTED, number > 1, total=len(rows)
    )


def draft_for_others(
    request: Request, change: Change, now: datetime, *, refused: Refused | None = None, status: int = 200
) -> HttpResponse:
    """Render a draft for somebody who may look and not edit."""
    context = {
        "change": change,
        "now": now,
        "acts": acts_for(change, request.user, now),
        "refused": refused,
        "machines": change.targets.count(),
        "policy": Policy.of(change.policy),
        "comments": list(change.comments.select_related("author").order_by("at", "pk")),
        "decisions": list(change.approvals.select_related("reviewer").defer("leaves").order_by("at")),
    }
    return render(request, "changes/draft_read.html", context, status=status)
