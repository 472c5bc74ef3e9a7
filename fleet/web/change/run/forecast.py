"""How far a run should be by now and when it ends, from how long machines of its accounts have taken lately."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Min

from fleet.engine.waves import RunCounts
from fleet.guards.forecast import forecast, usual_seconds
from fleet.guards.policy import Policy
from fleet.models import Change, ChangeState


@dataclass(frozen=True, slots=True)
class Course:
    """How a run compares with what is usual: `wanted` machines should have ended by now, None where none should.

    `one` is the seconds that one machine takes. `rest` is the seconds until the end, None where nothing begins by itself
    at present: the change waits for a person, or for its hours.
    """

    one: float
    wanted: int | None
    rest: float | None


def course_of(change: Change, policy: Policy, at: RunCounts, now: datetime) -> Course:
    """Return the course of a change that was started (two queries)."""
    rows = change.replacements.order_by().values_list("account_id").annotate(Min("account__replace_quota"))
    quotas: dict[int, int] = dict(rows)
    seconds = usual_seconds(list(quotas))
    a_minute = min(quotas.values(), default=1)
    unheld = replace(policy, hold="none")

    def lasts(machines: int) -> float:
        return forecast(
            unheld,
            [machines],
            seconds,
            snapshot=change.snapshot_days is not None,
            imaging=change.undoes_id is not None,
            a_minute=a_minute,
        )

    one = lasts(1)
    if change.state != ChangeState.RUNNING:
        return Course(one, None, None)
    opened = change.wave_opened_at or change.started_at or now
    wanted = 0
    left = max(0.0, (now - opened).total_seconds())
    for wave in at.waves:
        length = lasts(wave.total)
        if wave.number < change.wave or left >= length:
            wanted += wave.total
            left -= 0 if wave.number < change.wave else length
        else:
            wanted += min(wave.total, int(left / one) * max(1, policy.max_in_flight))
            left = 0
        if wave.number >= change.wave and (left <= 0 or (wave.number == 0 and policy.canary and policy.hold != "none")):
            break
    waits = change.holds_for_person or at.whole.inconclusive or (change.waits_for and not change.hold_until)
    moving = at.whole.in_flight - at.whole.held
    if waits and not moving:
        return Course(one, wanted, None)
    # What is in flight is half done on average.
    rest = sum(lasts(wave.queued) for wave in at.waves if wave.queued) + (one / 2 if moving else 0)
    if change.hold_until:
        rest += max(0.0, (change.hold_until - now).total_seconds())
    elif policy.hold == "timed" and policy.canary and change.wave == 0 and len(at.waves) > 1:
        rest += 60.0 * policy.hold_minutes
    return Course(one, wanted, rest)


def ends_at(course: Course, now: datetime) -> datetime | None:
    """Return the moment at which the change ends, as far as it is known."""
    return None if course.rest is None else now + timedelta(seconds=course.rest)
