"""One machine: its facts, its system disks through time, and the changes that named it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from fleet.changes.drafting.locks import LOCKERS
from fleet.changes.drafting.undoing import undoable
from fleet.inventory.lifecycle import end_of_life, os_label, support_state
from fleet.lib.clock import DatabaseClock
from fleet.models import (
    Approval,
    Decision,
    Image,
    Instance,
    InstanceType,
    LeftOut,
    MachineLock,
    Replacement,
    Role,
    Snapshot,
    SystemDisk,
    Target,
)
from fleet.web.instances.locks import LockForm, lock_form, lock_or_release
from fleet.web.shared.htmx import Request
from fleet.web.shared.refusals import status_of
from fleet.web.shared.scope import covered, has_role, visible_instances


@dataclass(frozen=True)
class Life:
    """One disk on the axis of time: `x` and `width` are SVG lengths; `change` is the one that made it.

    `kept` is the snapshot from which the disk could be put back.
    """

    disk: SystemDisk
    label: str
    begun: datetime
    x: str
    width: str
    end: str
    change: int | None
    kept: Snapshot | None


@dataclass(frozen=True)
class Mention:
    """A change that has or had the machine, or left it out, and what became of the machine in it."""

    change: Any
    when: datetime
    outcome: str
    state: str
    note: str
    code: str
    left_out: str
    approvers: str


@require_safe
def instance(request: Request, pk: int) -> HttpResponse:
    """Show one machine, also one that has vanished from the cloud."""
    return _page(request, _machine_or_404(request, pk), DatabaseClock().now(), LockForm())


@require_POST
def lock(request: Request, pk: int) -> HttpResponse:
    """Lock or release one machine."""
    machine, now, form = _machine_or_404(request, pk), DatabaseClock().now(), lock_form(request)
    if lock_or_release(request, form, [machine.pk], now=now):
        return redirect(f"{reverse('instance', args=[pk])}#lock")
    return _page(request, machine, now, form)


def _machine_or_404(request: Request, pk: int) -> Instance:
    rows = Instance.objects.filter(covered(request.user)).select_related("account")
    machine: Instance = get_object_or_404(rows, pk=pk)
    return machine


def _page(request: Request, machine: Instance, now: datetime, form: LockForm) -> HttpResponse:
    support = support_state(machine.os_name, now.date())
    mentions = _mentions(machine)
    open_change = next((mention.change for mention in mentions if mention.state == "open"), None)
    lock = MachineLock.objects.in_force(now).filter(instance=machine).select_related("owner").first()
    admin = has_role(request.user, Role.ADMIN)
    context = {
        "machine": machine,
        "label": os_label(machine.os_name) or "system not known",
        "ends": end_of_life(machine.os_name),
        "past": support == "past",
        "soon": support == "soon",
        "alike": _alike(visible_instances(request.user), machine) if support else 0,
        "type": InstanceType.objects.filter(name=machine.instance_type).first(),
        "image": Image.objects.filter(
            account=machine.account_id, region=machine.region, image_id=machine.image_id
        ).first(),
        "named": mentions,
        "open_change": open_change,
        "may_change": has_role(request.user, Role.OPERATOR),
        "held": lock,
        "may_lock": has_role(request.user, *LOCKERS),
        "may_release": lock is not None and (admin or lock.owner_id == request.user.pk),
        "form": form,
        "refused": form.refused,
        **_through_time(machine, now),
    }
    return render(request, "instances/detail.html", context, status=status_of(form))


def _alike(visible: QuerySet[Instance], machine: Instance) -> int:
    return visible.filter(os_name=machine.os_name).exclude(pk=machine.pk).count()


def _through_time(machine: Instance, now: datetime) -> dict[str, Any]:
    """Return the disks, newest first, and the years, as places on one axis that ends now."""
    disks = list(machine.disks.all())
    disks.sort(key=lambda disk: disk.created_at or disk.first_seen_at, reverse=True)
    if not disks:
        return {"lives": [], "years": []}
    made_by = dict(
        Replacement.objects.filter(instance=machine).exclude(new_disk_id="").values_list("new_disk_id", "change_id")
    )
    snapshots = {snapshot.disk_id: snapshot for snapshot in undoable(now).filter(instance=machine)}
    first = min(disk.created_at or disk.first_seen_at for disk in disks)
    # Some room on the left, so that the beginning of the first disk can be seen.
    start = first - (now - first) / 20
    whole = max((now - start).total_seconds(), 1.0)

    def place(moment: datetime) -> float:
        return min(100.0, max(0.0, 100 * (moment - start).total_seconds() / whole))

    lives = []
    for disk in disks:
        begun = disk.created_at or disk.first_seen_at
        begin, end = place(begun), place(disk.gone_at or now)
        width = max(end - begin, 0.4)
        lives.append(
            Life(
                disk,
                os_label(disk.os_name) or disk.image_id,
                begun,
                f"{begin:.2f}%",
                f"{width:.2f}%",
                f"{begin + width:.2f}%",
                made_by.get(disk.disk_id),
                snapshots.get(disk.disk_id),
            )
        )
    return {"lives": lives, "years": _years(start.date(), now.date(), place)}


def _years(first: date, last: date, place: Any) -> list[tuple[str, int]]:
    step = max(1, (last.year - first.year) // 6)
    years = range(first.year + 1, last.year + 1, step)
    return [(f"{place(datetime(year, 1, 1, tzinfo=UTC)):.2f}%", year) for year in years]


def _mentions(machine: Instance) -> list[Mention]:
    """Return the changes that have or had this machine, or left it out, newest first (three queries)."""
    targets = Target.objects.filter(instance=machine).select_related("change__author", "replacement")
    left_out = LeftOut.objects.filter(instance=machine).select_related("change__author")
    rows: list[tuple[datetime, Any, Any, Any]] = [
        (target.change.created_at, target.change, target, None) for target in targets.order_by("-change")[:50]
    ]
    rows += [(left.at, left.change, None, left) for left in left_out.order_by("-at")[:50]]
    rows.sort(key=lambda row: row[0], reverse=True)
    approvers: dict[int, list[str]] = {}
    approvals = Approval.objects.filter(
        change__in={row[1].pk for row in rows}, decision=Decision.APPROVE, voided_at=None
    )
    for change, name in approvals.values_list("change", "reviewer__username"):
        approvers.setdefault(change, []).append(name)
    return [_mention(when, change, target, left, approvers) for when, change, target, left in rows]


def _mention(when: datetime, change: Any, target: Any, left: Any, approvers: dict[int, list[str]]) -> Mention:
    replacement = getattr(target, "replacement", None) if target else None
    state = replacement.state if replacement and not replacement.outcome else ""
    return Mention(
        change=change,
        when=replacement.finished_at if replacement and replacement.finished_at else when,
        outcome=replacement.outcome if replacement else "",
        state="open" if target and target.open else state,
        note=replacement.note if replacement else "",
        code=replacement.error_code if replacement else "",
        left_out=left.reason if left else "",
        approvers=", ".join(approvers.get(change.pk, [])),
    )
