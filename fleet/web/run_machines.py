"""The machines of a run: those that need eyes first, and the causes of what did not go as asked."""

import re
from dataclasses import dataclass, field

from django.db.models import Case, IntegerField, Q, Value, When

from fleet.models import Change, Outcome, ReplacementState
from fleet.models.replacements import LIVE
from fleet.web.paging import Page, numbered

LISTED = 50
MOST_IN_A_CAUSE = 200  # machines whose ids a button carries
IDS = re.compile(r"\b[a-z]{1,3}-[a-z0-9]{6,}\b|\d+")
FAILED = (Outcome.FAILED_UNTOUCHED, Outcome.FAILED_REPLACED, Outcome.FAILED_DISKLESS, Outcome.UNKNOWN)
# Outcome, or held: status, glyph, word, and the next act.
NEXT: dict[str, tuple[str, str, str, str]] = {
    "held": (
        "warn",
        "held",
        "Held",
        "Look at each machine, then let it be looked at again, or give it up, in the list below.",
    ),
    Outcome.UNKNOWN: (
        "bad",
        "unknown",
        "Unknown",
        "Read its disk in the provider's console before anything else is done with it.",
    ),
    Outcome.FAILED_DISKLESS: (
        "bad",
        "diskless",
        "Without a disk",
        "Open a ticket with the provider: no disk is attached.",
    ),
    Outcome.FAILED_REPLACED: (
        "bad",
        "warn",
        "New disk in place",
        "The old disk is gone. Look at the machine; a new change installs it afresh.",
    ),
    Outcome.FAILED_UNTOUCHED: (
        "bad",
        "bad",
        "Old system intact",
        "Repair the cause, then draft a new change for these.",
    ),
    Outcome.SKIPPED_DRIFT: (
        "off",
        "drift",
        "Skipped",
        "Not what was approved, so not touched; it does not count as failed. Draft a new change for these.",
    ),
    Outcome.CANCELLED: ("off", "cancel", "Not started", "The old system is intact."),
}
RANK = {key: place for place, key in enumerate(NEXT)}


@dataclass(slots=True)
class Cause:
    """Many machines that did not go as asked, one reason."""

    key: str
    status: str
    glyph: str
    word: str
    why: str
    do: str
    code: str
    machines: list[tuple[int, str]] = field(default_factory=list)

    @property
    def first(self) -> tuple[int, str]:
        return self.machines[0]

    @property
    def redraft(self) -> list[int]:
        """The machines that a new change could take, where a button can carry them."""
        if self.key in ("held", Outcome.UNKNOWN, Outcome.FAILED_DISKLESS) or len(self.machines) > MOST_IN_A_CAUSE:
            return []
        return [pk for pk, _ in self.machines]


def machines_page(change: Change, number: int) -> Page:
    """Return one page of machines: held, failed, in flight past the line, in flight, queued, ended."""
    rank = Case(
        When(state=ReplacementState.HELD, then=Value(0)),
        When(outcome__in=FAILED, state=ReplacementState.FAILED, then=Value(1)),
        When(outcome=Outcome.SKIPPED_DRIFT, then=Value(2)),
        When(state__in=LIVE, first_sent_at__isnull=False, then=Value(3)),
        When(state__in=LIVE, then=Value(4)),
        When(state=ReplacementState.QUEUED, then=Value(5)),
        When(state=ReplacementState.CANCELLED, then=Value(7)),
        default=Value(6),
        output_field=IntegerField(),
    )
    rows = change.replacements.select_related("instance", "target").annotate(rank=rank)
    return numbered(rows.order_by("rank", "target__position"), page=number, size=LISTED)


def causes(change: Change) -> list[Cause]:
    """Gather what is held, failed, skipped or not started by its reason (one query)."""
    rows = (
        change.replacements.filter(
            Q(state=ReplacementState.HELD) | Q(state__in=(ReplacementState.FAILED, ReplacementState.CANCELLED))
        )
        .order_by("target__position")
        .values_list("state", "outcome", "error_code", "note", "instance_id", "instance__name", "instance__instance_id")
    )
    found: dict[tuple[str, str], Cause] = {}
    for state, outcome, code, note, pk, name, instance_id in rows:
        key = "held" if state == ReplacementState.HELD else outcome
        status, glyph, word, do = NEXT.get(key, NEXT[Outcome.FAILED_UNTOUCHED])
        same = (key, code or IDS.sub("…", note))
        cause = found.get(same)
        if cause is None:
            cause = found[same] = Cause(key, status, glyph, word, note.rstrip(".") or word, do, code)
        cause.machines.append((pk, name or instance_id))
    return sorted(found.values(), key=lambda one: (RANK.get(one.key, 0), -len(one.machines)))
