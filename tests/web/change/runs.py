"""A run that stands still, in rows, and what its tests say often."""

import re
from typing import Any

from django.urls import reverse

from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.models import Change, Replacement
from tests.support import fleets


def url(name: str, *args: Any) -> str:
    return reverse(name, args=args)


def act(change: Change, name: str) -> str:
    return url("run-act", change.pk, name)


def words(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.text))


def halfway_run(clock: ManualClock) -> Change:
    """A running change of six: one done, one failed, one held past the line, one in flight, two queued."""
    given = {"policy": fleets.Policy(max_in_flight=2, failures_allowed=3)}
    change = fleets.started(fleets.plain(6), fleets.image_named("Ubuntu 24.04"), clock, **given)
    now = DatabaseClock().now()
    told: list[dict[str, Any]] = [
        {"state": "done", "outcome": "succeeded", "new_disk_id": "d-new1", "finished_at": now, "note": "In use."},
        {
            "state": "failed",
            "outcome": "failed_untouched",
            "finished_at": now,
            "error_code": "IncorrectInstanceStatus",
            "note": "Did not stop in 10 min. The old system is intact.",
        },
        {
            "state": "held",
            "held_from": "replacing",
            "first_sent_at": now,
            "token": "t3",
            "note": "The answer was lost.",
        },
        {"state": "stopping", "note": "It was asked to stop."},
        {"state": "queued"},
        {"state": "queued"},
    ]
    for row, fields in zip(change.replacements.order_by("target__position"), told, strict=True):
        Replacement.objects.filter(pk=row.pk).update(**({"due_at": None} | fields))
    return change
