"""The list of machines: filter, search, page, select, and hand the selection over to a draft."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from fleet.inventory.lifecycle import end_of_life, os_label
from fleet.lib.clock import DatabaseClock
from fleet.models import Instance, Role, Target
from fleet.web.filters import SOON, InstanceFilter
from fleet.web.htmx import Request, partial, wants_partial
from fleet.web.paging import SIZES, Page, keyed, number_of, size_of
from fleet.web.scope import has_role, visible_instances
from fleet.web.selection import selection_of

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


@dataclass(frozen=True)
class Row:
    """One machine as the list shows it; `remark` is (status, glyph, words) of the one thing worth a remark."""

    instance: Instance
    label: str
    past: bool
    remark: tuple[str, str, str] | None
    change: int | None


@require_http_methods(["GET", "HEAD", "POST"])
def instances(request: Request) -> HttpResponse:
    """Show a page of machines. GET shows what an address says; POST carries the selection along besides."""
    posted = request.method == "POST"
    data = request.POST if posted else request.GET
    may_change = has_role(request.user, Role.OPERATOR)
    today = DatabaseClock().now().date()
    visible = visible_instances(request.user)
    narrowed = InstanceFilter(data, instances=visible, today=today, controls=not wants_partial(request))
    matching = narrowed.qs
    total = matching.count()
    sort = _sort(data)
    page = _page(matching, data=data, sort=sort, total=total)
    selection = selection_of(
        data if posted and may_change else QueryDict(), visible=visible, matching=matching, total=total
    )

    if data.get("act") == "change" and posted:
        if not may_change:
            raise PermissionDenied("Only an operator drafts a change of the operating system.")
        if not selection.refused:
            # 307: the browser posts the same form again, to the draft.
            return HttpResponse(status=307, headers={"Location": reverse("draft-new")})
    address = _address(narrowed, data=data, sort=sort, page=page)
    if posted and not selection.picked and not selection.refused and not wants_partial(request):
        return redirect(address)

    context = {
        "filter": narrowed,
        "page": page,
        "rows": [_row(instance, today) for instance in page.rows],
        "columns": _columns(sort),
        "sort": sort,
        "sizes": SIZES,
        "total": total,
        "any": bool(narrowed.values),
        "narrowed": any(data.get(name) for name in narrowed.filters),
        "selection": selection,
        "here": selection.here(page.rows),
        "elsewhere": selection.elsewhere(page.rows),
        "may_change": may_change,
    }
    status = 422 if selection.refused else 200
    response = partial(request, "instances/list.html", "results", context, status=status)
    if wants_partial(request):
        response["HX-Push-Url"] = address
    return response


def _sort(data: QueryDict) -> str:
    asked = data.get("by") or data.get("sort") or "name"
    return asked if asked.removeprefix("-") in SORTS else "name"


def _page(matching: QuerySet[Instance], *, data: QueryDict, sort: str, total: int) -> Page:
    """Return the page that `to` asks for: `next:<row>:<number>`, `previous:<row>:<number>`, `last`, or the first."""
    change = Target.objects.filter(instance=OuterRef("pk"), open=True).values("change")[:1]
    rows = matching.select_related("account").annotate(open_change=Subquery(change))
    step, _, rest = data.get("to", "").partition(":")
    row, _, first = rest.partition(":")
    anchor = Instance.objects.filter(pk=int(row)).first() if row.isdecimal() and len(row) < 18 else None
    size = size_of(data.get("size"))
    return keyed(rows, by=sort, size=size, total=total, step=step, anchor=anchor, first=number_of(first))


def _address(narrowed: InstanceFilter, *, data: QueryDict, sort: str, page: Page) -> str:
    """Return the address that shows this page again (without the selection, which no address carries)."""
    parts: list[tuple[str, str]] = [(name, str(data[name])) for name in narrowed.filters if data.get(name)]
    parts += [("sort", sort)] if sort != "name" else []
    parts += [("size", str(page.size))] if page.size != SIZES[0] else []
    parts += [("to", str(data["to"]))] if data.get("to") and page.first > 1 else []
    return reverse("instances") + (f"?{urlencode(parts)}" if parts else "")


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


def _row(instance: Any, today: date | datetime) -> Row:
    ends = end_of_life(instance.os_name)
    past = ends is not None and ends < today
    return Row(
        instance,
        os_label(instance.os_name) or "Not known",
        past,
        _remark(instance, ends, today),
        instance.open_change,
    )


def _remark(instance: Any, ends: date | None, today: Any) -> tuple[str, str, str] | None:
    """Return the gravest thing to say of a machine, and nothing of a usual one."""
    if instance.locks:
        return "bad", "block", f"Locked: {', '.join(instance.locks)}"
    if instance.open_change:
        return "run", "run", f"In change #{instance.open_change}"
    if ends is not None and ends < today:
        return "off", "info", f"ended {ends:%b %Y}"
    if ends is not None and ends < today + SOON:
        return "warn", "warn", f"ends {ends.day} {ends:%b %Y}"
    return None
