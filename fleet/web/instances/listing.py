"""The list of machines: filter, search, page, select, and hand the selection over to a draft."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from fleet.changes.drafting.drafts import MOST_MACHINES
from fleet.changes.drafting.locks import LOCKERS
from fleet.changes.drafting.selection import (
    SelectionRequest,
    SelectionResult,
    digest_of_set,
    draft_selected,
    omissions_of,
    update_selection,
)
from fleet.inventory.lifecycle import end_of_life, os_label, support_state
from fleet.inventory.queries import OneOf
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Instance, MachineLock, Role, Target, User
from fleet.web.instances.filters import InstanceFilter
from fleet.web.instances.selection import Desk, Ticks, asked_of, desk_of
from fleet.web.shared.htmx import Request, partial, redirect_to, wants_partial
from fleet.web.shared.numbers import id_of, number_of
from fleet.web.shared.paging import SIZES, Page, keyed, size_of
from fleet.web.shared.refusals import STATUS, record_refusal
from fleet.web.shared.scope import has_role, visible_instances

COLUMNS = (
    ("name", "Machine", ""),
    ("instance_id", "Id", "p3"),
    ("os_name", "System", ""),
    ("disk_size", "System disk", "num p2"),
    ("instance_type", "Type", "p3"),
    ("zone", "Zone", "p2"),
    ("status", "State", "p2"),
)
SORTS = {column for column, *_ in COLUMNS}

OTHER_TAB = (
    "This selection was changed in another tab since the page was shown. Look at it as it is now, then press again."
)


@dataclass(frozen=True)
class Row:
    """One machine as the list shows it; `remark` is (status, glyph, words) of the most serious thing to say of it."""

    instance: Instance
    label: str
    past: bool
    remark: tuple[str, str, str] | None
    change: int | None


@require_http_methods(["GET", "HEAD", "POST"])
def instances(request: Request) -> HttpResponse:
    """Show a page of machines. GET shows what an address says; POST saves the ticks, and does what its button asks."""
    posted = request.method == "POST"
    data = request.POST if posted else request.GET
    may = {"change": has_role(request.user, Role.OPERATOR), "tick": has_role(request.user, *LOCKERS)}
    if posted and data.get("act") == "change" and not may["change"]:
        raise PermissionDenied("Only an operator drafts a change of the operating system.")
    desk = desk_of(request.user, data.get("selection"))
    visible = visible_instances(request.user)
    ticking = posted and may["tick"] and data.get("act") == "tick" and wants_partial(request)
    if ticking and (saved := _ticked(request, desk, visible)):
        return saved
    narrowed = InstanceFilter(data, instances=visible, now=desk.now, controls=not wants_partial(request))
    matching = narrowed.qs
    total = matching.count()
    ticks = Ticks(desk.id, desk.picked, desk.omitted)
    if posted and may["tick"]:
        ticks = _ticks(request.user, data, desk, visible=visible, matching=matching, total=total)
    sort = _sort(data)
    page = _page(matching, data=data, sort=sort, total=total, now=desk.now)
    address = _address(narrowed, data=data, sort=sort, page=page, ticks=ticks)
    if posted and not ticks.refused:
        if data.get("act") in ("change", "lock"):
            try:
                return _go_on(request, data, ticks, desk.now)
            except Refused as refused:
                record_refusal(request, refused, act="draft a change")
                ticks = replace(ticks, refused=refused)
        elif not wants_partial(request):
            if ticks.notice:
                messages.info(request, ticks.notice, extra_tags="run")
            return redirect(address)

    # Named before the first tick too: what is ticked on this page later is saved under this name.
    selection = f"?{urlencode({'selection': str(ticks.id)})}" if may["tick"] else ""
    context = {
        "filter": narrowed,
        "unfiltered": f"{reverse('instances')}{selection}",
        "all_picked": total <= len(ticks.picked) and matching.filter(OneOf("pk", ticks.picked)).count() == total,
        "page": page,
        "rows": [_row(instance, desk.now) for instance in page.rows],
        "columns": _columns(sort),
        "sort": sort,
        "sizes": SIZES,
        "total": total,
        "any": bool(narrowed.values),
        "ticks": ticks,
        "here": ticks.here(page.rows),
        "elsewhere": ticks.elsewhere(page.rows),
        "rest": ticks.rest(page.rows),
        "desk": desk,
        "may_change": may["change"],
        "may_tick": may["tick"],
    }
    status = STATUS[ticks.refused.kind] if ticks.refused else 200
    response = partial(request, "instances/list.html", "results", context, status=status)
    if wants_partial(request):
        response["HX-Push-Url"] = address
        response["HX-Retarget"] = "#results"
    return response


def _ticked(request: Request, desk: Desk, visible: QuerySet[Instance]) -> HttpResponse | None:
    """Save ticks at once and answer in the server's words how many are selected; None where they cannot be saved."""
    asked = asked_of(request.POST)
    try:
        chosen = update_selection(owner=request.user, selection=desk.id, asked=asked, visible=visible, now=desk.now)
    except Refused:
        return None
    here = len(chosen.after & asked.shown)
    context = {"picked": len(chosen.after), "here": here, "elsewhere": len(chosen.after) - here}
    response = render(request, "instances/_picked.html", context)
    listed = QueryDict(urlsplit(request.htmx.current_url_abs_path or "").query, mutable=True)
    listed["selection"] = str(desk.id)
    response["HX-Replace-Url"] = f"{reverse('instances')}?{listed.urlencode()}"
    return response


def _ticks(
    user: User, data: QueryDict, desk: Desk, *, visible: QuerySet[Instance], matching: QuerySet[Instance], total: int
) -> Ticks:
    """Save what the form says of the selection. "All matching" is resolved to ids here and never later."""

    def chosen(asked: SelectionRequest) -> SelectionResult:
        return update_selection(owner=user, selection=desk.id, asked=asked, visible=visible, now=desk.now)

    act, notice, stop = data.get("act"), "", None
    asked, now = asked_of(data), SelectionResult(desk.picked, desk.picked)
    try:
        now = chosen(asked)
        elsewhere = digest_of_set(now.before - asked.shown)
        if act in ("change", "lock") and data.get("rest", elsewhere) != elsewhere:
            raise Refused(OTHER_TAB, kind="moved")
        if act == "all":
            if total > MOST_MACHINES:
                words = f"{total:,} machines match, and a change holds at most {MOST_MACHINES:,}."
                raise Refused(f"{words} Narrow the filter, then select all.")
            add = frozenset(matching.values_list("pk", flat=True))
            now = chosen(SelectionRequest(add=add))
            shown = number_of(data.get("matching"), 0)
            if shown and shown != len(add):
                notice = f"{count(len(add), 'machine matches', 'machines match')} now, no longer {shown:,}; all are selected."
    except Refused as refused:
        stop = refused
    omitted = 0 if act == "clear" and not stop else desk.omitted
    return Ticks(desk.id, now.after, omitted, stop, notice)


def _go_on(request: Request, data: QueryDict, ticks: Ticks, now: datetime) -> HttpResponse:
    """Take the selection to a draft, or to the page of locks; raise Refused where neither can be."""
    if data.get("act") == "lock":
        if not ticks.picked:
            raise Refused("No machine is selected. Tick the machines to lock, then press again.")
        return redirect_to(request, f"{reverse('locks')}?{urlencode({'selection': str(ticks.id)})}")
    change = draft_selected(actor=request.user, instance_pks=ticks.picked, omissions=omissions_of(ticks.id), now=now)
    return redirect_to(request, "draft", change.pk)


def _sort(data: QueryDict) -> str:
    asked = data.get("by") or data.get("sort") or "name"
    return asked if asked.removeprefix("-") in SORTS else "name"


def _page(matching: QuerySet[Instance], *, data: QueryDict, sort: str, total: int, now: datetime) -> Page:
    """Return the page that `to` asks for: `next:<row>:<number>`, `previous:<row>:<number>`, `last`, or the first."""
    change = Target.objects.filter(instance=OuterRef("pk"), open=True).values("change")[:1]
    lock = MachineLock.objects.in_force(now).filter(instance=OuterRef("pk")).values("owner__username")[:1]
    rows = matching.select_related("account").annotate(open_change=Subquery(change), locked_by=Subquery(lock))
    step, _, place = data.get("to", "").partition(":")
    row, _, first = place.partition(":")
    anchor = Instance.objects.filter(pk=id_of(row)).first()
    size = size_of(data.get("size"))
    return keyed(rows, by=sort, size=size, total=total, step=step, anchor=anchor, first=number_of(first))


def _address(narrowed: InstanceFilter, *, data: QueryDict, sort: str, page: Page, ticks: Ticks) -> str:
    """Return the address that shows this page again; a selection is named in it, and its machines never are."""
    parts: list[tuple[str, str]] = [("sort", sort)] if sort != "name" else []
    parts += [("size", str(page.size))] if page.size != SIZES[0] else []
    parts += [("to", str(data["to"]))] if data.get("to") and page.first > 1 else []
    parts += [("selection", str(ticks.id))] if ticks.picked or ticks.omitted else []
    query = "&".join(filter(None, [narrowed.query, urlencode(parts)]))
    return reverse("instances") + (f"?{query}" if query else "")


def _columns(sort: str) -> list[dict[str, Any]]:
    field, down = sort.removeprefix("-"), sort.startswith("-")
    return [
        {
            "label": label,
            "css": css,
            "order": ("descending" if down else "ascending") if name == field else "",
            "by": f"-{name}" if name == field and not down else name,
        }
        for name, label, css in COLUMNS
    ]


def _row(instance: Any, now: datetime) -> Row:
    support = support_state(instance.os_name, now.date())
    label, past = os_label(instance.os_name) or "Not known", support == "past"
    return Row(instance, label, past, _remark(instance, support), instance.open_change)


def _remark(instance: Any, support: str) -> tuple[str, str, str] | None:
    """Return the most serious thing to say of a machine; most have none."""
    if instance.locks:
        return "bad", "block", f"Locked: {', '.join(instance.locks)}"
    if instance.locked_by:
        return "warn", "lock", f"Locked by {instance.locked_by}"
    if instance.open_change:
        return "run", "run", f"In change #{instance.open_change}"
    ends = end_of_life(instance.os_name)
    if support == "past":
        return "off", "info", f"ended {ends:%b %Y}"
    if support == "soon" and ends:
        return "warn", "warn", f"ends {ends.day} {ends:%b %Y}"
    return None
