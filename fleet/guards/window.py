"""Whether a change as a whole may start, and whether more of its machines may begin: hours, freezes, kill switch, approval.

All of this is asked again for each machine before its irreversible call (`gates`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models.fields.json import KeyTextTransform

from fleet.guards.calendars import Guard, Hours, guards_of, hours
from fleet.guards.forecast import forecast, usual_seconds
from fleet.guards.kill_switch import pressed_over
from fleet.guards.places import Place, places_of
from fleet.guards.policy import Policy
from fleet.lib.text import age
from fleet.models import Change


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of a change, and how its length fits into them.

    `seconds` is the forecast for the whole change, `seconds_a_machine` for a single one. `last_start` is when the change must
    start to be done before the present stretch of open hours ends, else the next one; None where it does not end.
    `must_begin_before` is the same for a single machine. `spans` says that the change is longer than these stretches, and goes on
    from one to the next. `observing` names the accounts in which nothing is executed; `stopped` is the sentence of the kill
    switch, or empty.
    """

    hours: Hours
    seconds: float
    seconds_a_machine: float
    last_start: datetime | None
    must_begin_before: datetime | None
    spans: bool
    observing: tuple[str, ...]
    stopped: str


def window_of(change: Change, now: datetime, *, places: Sequence[Place] | None = None) -> Window:
    """Return when this change may start and when it is too late: five queries, whatever the number of machines.

    One more where its waves are spread by a tag, one less with the `places`.
    """
    places = [place for place in (places_of(change) if places is None else places) if place.machines]
    guards = guards_of([(place.account, place.region, place.environment) for place in places], change.calendar_id)
    found = hours(guards, not_before=change.not_before, not_after=change.not_after, now=now)
    seconds, a_machine = _lengths(change, places)
    return Window(
        hours=found,
        seconds=seconds,
        seconds_a_machine=a_machine,
        last_start=_less(found.closes_at, seconds),
        must_begin_before=_less(found.closes_at, a_machine),
        spans=_spans(change, guards, found, seconds),
        observing=tuple(sorted({place.account_name for place in places if not place.executes})),
        stopped=pressed_over((place.account, place.region) for place in places),
    )


def may_begin(change: Change, now: datetime) -> str:
    """Return a sentence that says why no machine of a running change may begin now, or nothing where one may.

    A machine begins only where it will probably be done before the hours end. What cannot be read counts as closed.
    """
    window = window_of(change, now)
    if why := _closed(change, window, now):
        return why
    if window.must_begin_before is not None and now > window.must_begin_before:
        return (
            f"The hours end in {_left(window.hours, now)}, and one machine takes about {age(window.seconds_a_machine)}:"
            " none begins that would not be done by then."
        )
    return ""


def may_start(change: Change, now: datetime) -> str:
    """Return a sentence that says why a change may not start now and what to do, or nothing where it may.

    It starts only where it will probably be done before the hours end, unless it is longer than any stretch of open hours.
    """
    window = window_of(change, now)
    if why := _closed(change, window, now):
        return why
    if (window.must_begin_before is not None and now > window.must_begin_before) or late(window, now):
        return (
            f"The change takes about {age(window.seconds)}, and its hours end in {_left(window.hours, now)}."
            " Start it at the next opening, or plan it in a longer window."
        )
    return ""


def late(window: Window, now: datetime) -> bool:
    """Say whether the last start has passed."""
    return window.last_start is not None and now > window.last_start and not window.spans


def _closed(change: Change, window: Window, now: datetime) -> str:
    if window.stopped:
        return window.stopped
    if window.hours.closed:
        return window.hours.closed[0].words
    if not window.hours.open:
        return "Its hours are over: they do not open again."
    if change.approved_until is None or change.approved_until <= now:
        return "The approval has expired. Copy the change and have it approved again."
    if window.observing:
        return (
            f"The account {window.observing[0]} is in observe: nothing is changed in it. An administrator switches"
            " execution on."
        )
    return ""


def _lengths(change: Change, places: Sequence[Place]) -> tuple[float, float]:
    """Return the forecast of the whole change and of one machine, in seconds."""
    policy = Policy.of(change.policy)
    if policy.spread_tag:
        rows = (
            change.targets.filter(open=True)
            .order_by("position")
            .annotate(domain=KeyTextTransform(policy.spread_tag, "instance__tags"))
        )
        domains = [value or "" for value in rows.values_list("domain", flat=True)]
    else:
        domains = [""] * sum(place.machines for place in places)
    seconds = usual_seconds(sorted({place.account for place in places}))
    quota = min((place.quota for place in places), default=1)
    snapshot, imaging = change.snapshot_days is not None, change.undoes_id is not None
    whole, a_machine = (
        forecast(policy, waves, seconds, snapshot=snapshot, imaging=imaging, a_minute=quota)
        for waves in ([len(wave) for wave in policy.waves(domains)], [1])
    )
    return whole, a_machine


def _spans(change: Change, guards: list[Guard], found: Hours, seconds: float) -> bool:
    if found.closes_at is None or found.opens_at is None:
        return False
    if found.closes_at - found.opens_at >= timedelta(seconds=seconds):
        return False
    then = hours(guards, not_before=change.not_before, not_after=change.not_after, now=found.closes_at)
    if then.opens_at is None or then.closes_at is None:
        return False
    return then.closes_at - then.opens_at < timedelta(seconds=seconds)


def _less(moment: datetime | None, seconds: float) -> datetime | None:
    return moment - timedelta(seconds=seconds) if moment else None


def _left(found: Hours, now: datetime) -> str:
    assert found.closes_at is not None
    return age((found.closes_at - now).total_seconds())
