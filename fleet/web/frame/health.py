"""GET /healthz: whether the database answers, whether the worker works, and how old the mirror is."""

import logging
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from fleet.lib.clock import DatabaseClock
from fleet.models import Heartbeat, RegionMirror

log = logging.getLogger(__name__)
LATE = 120  # seconds; a tick begins at least once a minute and takes at most half a minute


@require_safe
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 with what is known, or 503 when the database does not answer. No sign-in, and nothing that is secret."""
    try:
        return JsonResponse(_state(), headers={"Cache-Control": "no-store"})
    except (DatabaseError, InterfaceError) as error:
        log.error("The database does not answer: %s", type(error).__name__)
        silent = {"database": "away", "worker": {"state": "unknown"}, "mirror": {"state": "unknown"}}
        return JsonResponse(silent, status=503, headers={"Cache-Control": "no-store"})


def _state() -> dict[str, Any]:
    now = DatabaseClock().now()
    tick = Heartbeat.objects.filter(name="tick").values_list("at", flat=True).first()
    read = list(RegionMirror.objects.values_list("synced_at", flat=True))
    times = [moment for moment in read if moment]
    return {
        "database": "ok",
        "worker": {"last_tick_age_s": _age(now, tick), "state": _worker(now, tick)},
        "mirror": {"age_s": _age(now, min(times)) if times else None, "regions": len(read)},
    }


def _age(now: datetime, moment: datetime | None) -> int | None:
    return max(0, int((now - moment).total_seconds())) if moment else None


def _worker(now: datetime, tick: datetime | None) -> str:
    if tick is None:
        return "never"
    return "late" if (now - tick).total_seconds() > LATE else "ok"
