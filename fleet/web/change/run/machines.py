"""The machines of a run, those that need attention first, and those that did not go as asked, grouped by their cause."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Case, IntegerField, Value, When

from fleet.changes.permissions import Act
from fleet.changes.running.causes import Cluster, cause_of, clusters, rows_of
from fleet.engine.route import before_the_line
from fleet.lib.canonical import digest
from fleet.models import Change, Outcome, Replacement, ReplacementState
from fleet.models.replacements import FAILURES, LIVE
from fleet.web.change.run.words import Button, buttons
from fleet.web.shared import badges
from fleet.web.shared.paging import Page, numbered

LISTED = 25
MOST_CLUSTERS = 12
State = ReplacementState
# Outcomes that are no failure have words of their own: beside the glyph, why, and what to do.
LABELS = {Outcome.SKIPPED_DRIFT: "Skipped", Outcome.CANCELLED: "Not started"}
INTACT = {
    Outcome.SKIPPED_DRIFT: ("Not what was approved, so not touched", "Draft a new change for these machines."),
    Outcome.CANCELLED: ("Skipped, or ended before they began", "The old system is intact; nothing is left to do."),
}
# Machines of which a new change cannot be the next act.
NO_REDRAFT = frozenset({Outcome.UNKNOWN, Outcome.FAILED_DISKLESS})


@dataclass(frozen=True, slots=True)
class CauseRow:
    """A cluster as the page shows it: a badge with its `label`, why in `words`, and what to `do`.

    `key` names it in addresses as long as its machines have this cause and state; `redraft` is whether a new change of
    these machines may be drafted from here.
    """

    key: str
    cluster: Cluster
    status: str
    glyph: str
    label: str
    words: str
    do: str
    buttons: list[Button]
    redraft: bool


def cause_rows(change: Change, may: Mapping[str, Act], *, live: bool) -> list[CauseRow]:
    """Return the clusters with what can be done about each: held first, then the largest (one query)."""
    found = clusters(change, (State.HELD, State.FAILED, State.CANCELLED))
    found.sort(key=lambda cluster: (cluster.state != State.HELD, cluster.state == State.CANCELLED))
    return [_cause_row(cluster, may, live) for cluster in found]


def _cause_row(cluster: Cluster, may: Mapping[str, Act], live: bool) -> CauseRow:
    (status, glyph), label = badges.REPLACEMENT[cluster.state], State(cluster.state).label
    words, do = cluster.cause.words, cluster.cause.next_act
    if cluster.outcome and cluster.state != State.HELD:
        outcome = Outcome(cluster.outcome)
        status, glyph = badges.OUTCOME[outcome]
        # An outcome that nobody knows counts as failed, and stands among the failures here.
        status = "bad" if outcome.is_failure else status
        label = LABELS.get(outcome) or outcome.label.removeprefix("Failed, ").capitalize()
        words, do = INTACT.get(outcome, (words, do))
    redraft = not live and cluster.state != State.HELD and cluster.outcome not in NO_REDRAFT
    return CauseRow(
        key_of(cluster), cluster, status, glyph, label, words, do, buttons(cluster.cause.acts, may), redraft
    )


def key_of(cluster: Cluster) -> str:
    """Return a short name of what makes these machines one cluster."""
    past = int(cluster.past_the_line)
    return digest([cluster.cause.code, cluster.state, cluster.held_from, cluster.outcome, past])[:12]


def cluster_of(change: Change, key: str) -> Cluster | None:
    """Return the cluster of this name, None where its machines moved on."""
    found = clusters(change, (State.HELD, State.FAILED, State.CANCELLED))
    return next((cluster for cluster in found if key_of(cluster) == key), None)


def machines_page(change: Change, number: int, cluster: Cluster | None = None) -> Page:
    """Return one page of machines: held, failed, in flight past the line, in flight, queued, ended; or of one cluster."""
    rank = Case(
        When(state=State.HELD, then=Value(0)),
        When(outcome__in=FAILURES, state=State.FAILED, then=Value(1)),
        When(outcome=Outcome.SKIPPED_DRIFT, then=Value(2)),
        When(state__in=LIVE, first_sent_at__isnull=False, then=Value(3)),
        When(state__in=LIVE, then=Value(4)),
        When(state=State.QUEUED, then=Value(5)),
        When(state=State.CANCELLED, then=Value(7)),
        default=Value(6),
        output_field=IntegerField(),
    )
    rows = change.replacements.all() if cluster is None else rows_of(change, cluster)
    rows = rows.select_related("instance", "target", "change").annotate(rank=rank)
    return numbered(rows.order_by("rank", "target__position"), page=number, size=LISTED)


def buttons_of(row: Replacement, may: Mapping[str, Act]) -> list[Button]:
    """Return what can be done about one machine."""
    if row.state == State.QUEUED:
        return buttons(("skip",), may)
    past = not before_the_line(row)
    cause = cause_of(row.error_code, row.state, row.outcome, past_the_line=past, held_from=row.held_from)
    return buttons(cause.acts, may)
