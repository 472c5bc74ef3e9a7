"""The page of a run: how far it is, what failed and why, and what can be done about it."""

from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.shortcuts import render

from fleet.changes.permissions import acts_for
from fleet.changes.running.acts import ACTS, available_acts
from fleet.changes.running.retrying import open_retries
from fleet.inventory.lifecycle import os_label
from fleet.lib.canonical import digest
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState, Decision, Image
from fleet.web.change.run.machines import MOST_CLUSTERS, buttons_of, cause_rows, cluster_of, machines_page
from fleet.web.change.run.numbers import numbers
from fleet.web.change.run.waves import ladder, short_name
from fleet.web.change.run.words import WORDS, button, buttons
from fleet.web.shared.htmx import Request
from fleet.web.shared.numbers import number_of

PAGE = "run/run.html"
RETRIES_SHOWN = 5
CONTROLS = [name for name in WORDS if ACTS[name].on == "change"]


class Part(NamedTuple):
    """A part of the page with controls or rows in it: the poll brings it only where its version differs from the page's."""

    name: str
    template: str
    version: str


def run_page(
    request: Request, change: Change, now: datetime, *, refused: Refused | None = None, status: int = 200
) -> HttpResponse:
    """Render the whole page of a change that was started."""
    context = run_context(request, change, now)
    context |= {
        "acts": acts_for(change, request.user, now),
        "refused": refused,
        "approvals": list(
            change.approvals.filter(decision=Decision.APPROVE, revision=change.revision, voided_at=None)
            .select_related("reviewer")
            .defer("leaves")
        ),
        "comments": list(change.comments.select_related("author", "instance").order_by("at", "pk")),
    }
    return render(request, PAGE, context, status=status)


def run_context(request: Request, change: Change, now: datetime) -> dict[str, Any]:
    """Return what page and poll share, in a constant number of queries, each with a bounded answer."""
    may = available_acts(change, request.user, now)
    live = change.is_under_way
    n = numbers(change, now)
    key = request.GET.get("cluster", "")
    cluster = cluster_of(change, key) if key else None
    page = machines_page(change, number_of(request.GET.get("page")), cluster)
    causes = cause_rows(change, may, live=live)
    retries = list(open_retries(change)) if n.c.held else []
    context: dict[str, Any] = {
        "change": change,
        "now": now,
        "may": may,
        "live": live,
        "n": n,
        "rungs": ladder(change, n.policy, n.at, now),
        "clusters": causes[:MOST_CLUSTERS],
        "more_clusters": causes[MOST_CLUSTERS:],
        "retries": retries[:RETRIES_SHOWN],
        "retries_all": len(retries),
        "page": page,
        "rows": [(row, short_name(n.policy, row.wave), buttons_of(row, may)) for row in page.rows],
        "cluster": key if cluster else "",
        "cluster_shown": cluster,
        "controls": buttons(CONTROLS, may),
        "agree": button("agree_retry", may),
        "withdraw": button("withdraw_retry", may),
        "rest_asked": change.rest_asked,
        "rest_approved": change.approved_until is not None and change.approved_until > now,
    }
    if not live:
        name = Image.objects.filter(image_id=change.image_id).values_list("os_name", flat=True).first()
        context["system"] = os_label(name or "")
    context["parts"] = _parts(context)
    return context


def _parts(context: dict[str, Any]) -> list[Part]:
    change, n = context["change"], context["n"]
    allowed = sorted(name for name, act in context["may"].items() if act.allowed)
    state = [
        change.state,
        change.aborted_at is not None,
        change.waits_for,
        str(change.hold_until),
        change.holds_for_person,
        context["rest_approved"],
        allowed,
        # These stand in the sentence of a stopped change and of one that ended.
        [n.moving, n.c.held, n.c.queued] if change.state != ChangeState.RUNNING or change.aborted_at else [],
    ]
    causes = [
        [cause.key, cause.cluster.machines, [button.act for button in cause.buttons], cause.redraft]
        for cause in context["clusters"]
    ]
    retries = [[retry.pk] for retry in context["retries"]]
    waves = [[rung.name, rung.word, rung.words, rung.tiles, rung.why] for rung in context["rungs"]]
    rows = [
        [row.pk, row.state, row.outcome, row.note, row.error_code, row.new_disk_id, row.returning]
        for row, *_ in context["rows"]
    ]
    return [
        Part("state", "run/_state.html", _version(state)),
        Part("causes", "run/_causes.html", _version([causes, retries, context["retries_all"]])),
        Part("waves", "run/_waves.html", _version(waves)),
        Part("rows", "run/_rows.html", _version([rows, allowed])),
    ]


def _version(value: Any) -> str:
    return digest(value)[:10]
