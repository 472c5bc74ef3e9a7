"""The check between submit and review: who is overtaken changes nothing, a tick's budget holds, a mistake of ours ends."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from fleet import worker
from fleet.changes import checking
from fleet.changes.drafting import drafts
from fleet.changes.review import deciding
from fleet.engine import loop
from fleet.lib.clock import ManualClock
from fleet.models import AuditEvent, Change, ChangeState, Target
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def submitted(fleet: Emulator, clock: ManualClock) -> Change:
    """A change of three that waits for its check."""
    made = fleets.draft(fleets.plain(3), fleets.image_named("Ubuntu 24.04"), clock.now())
    return drafts.submit(actor=fleets.person("operator"), change_id=made.pk, now=clock.now())


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """Let a batch be one machine, and say which were read."""
    read: list[list[Any]] = []
    before_each(monkeypatch, lambda instances: read.append(list(instances)))
    return read


def before_each(monkeypatch: pytest.MonkeyPatch, act: Callable[[Any], None]) -> None:
    real = checking.refresh

    def refresh(instances: Any, *args: Any, **given: Any) -> Any:
        act(instances)
        return real(instances, *args, **given)

    monkeypatch.setattr(checking, "BATCH", 1)
    monkeypatch.setattr(checking, "refresh", refresh)


def test_a_check_that_is_under_way_says_nothing_of_what_was_submitted_since(
    submitted: Change, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, image, calls = fleets.person("operator"), fleets.image_named("Ubuntu 24.04"), []

    def submit_something_else(instances: Any) -> None:
        calls.append(instances)
        if len(calls) == 2:
            deciding.withdraw(actor=operator, change_id=submitted.pk, now=clock.now())
            wanted = fleets.settings(image, disk_size=80)
            drafts.edit_draft(actor=operator, change_id=submitted.pk, settings=wanted, now=clock.now())
            drafts.submit(actor=operator, change_id=submitted.pk, now=clock.now())

    before_each(monkeypatch, submit_something_else)
    checking.check_due(clock)
    submitted.refresh_from_db()
    assert (submitted.state, submitted.checked, len(calls)) == (ChangeState.CHECKING, 0, 2)
    fleets.check_all(clock)
    submitted.refresh_from_db()
    assert (submitted.state, submitted.revision, len(calls)) == (ChangeState.IN_REVIEW, 2, 2 + 3)


def test_submitted_again_it_is_checked_anew_even_where_only_the_lease_tells(
    submitted: Change, clock: ManualClock
) -> None:
    before = submitted.lease
    deciding.withdraw(actor=fleets.person("operator"), change_id=submitted.pk, now=clock.now())
    again = drafts.submit(actor=fleets.person("operator"), change_id=submitted.pk, now=clock.now())
    assert again.lease == before + 2


def test_a_check_ends_with_the_tick_between_two_batches_and_goes_on_in_the_next(
    submitted: Change, clock: ManualClock, batches: list[list[Any]]
) -> None:
    for read in (1, 2, 3):
        worker.work(0.0, clock=clock)
        submitted.refresh_from_db()
        assert (len(batches), submitted.checked, submitted.state) == (read, read, ChangeState.CHECKING)
        assert submitted.due_at == clock.now()
    worker.work(0.0, clock=clock)
    submitted.refresh_from_db()
    assert submitted.state == ChangeState.IN_REVIEW
    assert len(batches) == 3


def test_checks_leave_half_of_a_tick_to_the_machines(
    submitted: Change, clock: ManualClock, batches: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: 10.0 * len(batches)))
    monkeypatch.setattr(loop, "run", lambda clock, budget, **_: given.append(budget))
    worker.work(30.0, clock=clock)
    assert len(batches) == 2
    assert given == [10.0]


def test_machines_are_checked_place_by_place(submitted: Change, clock: ManualClock, batches: list[list[Any]]) -> None:
    first, second, third = submitted.targets.order_by("position").select_related("instance")
    for target, region in ((first, "cn-b"), (second, "cn-a"), (third, "cn-b")):
        type(target.instance).objects.filter(pk=target.instance_id).update(region=region)
    wanted = [target.pk for target in (second, first, third)]
    assert [checking._next_batch(_at(submitted, place))[0].pk for place in range(3)] == wanted


def _at(change: Change, place: int) -> Change:
    change.checked = place
    return change


def test_a_mistake_of_ours_is_tried_three_times_and_then_told_to_the_author(
    submitted: Change, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ticked: list[float] = []

    def stumble(instances: Any) -> None:
        raise KeyError("what nobody thought of")

    before_each(monkeypatch, stumble)
    monkeypatch.setattr(loop, "run", lambda clock, budget, **_: ticked.append(budget))
    for tries in (1, 2):
        worker.work(5.0, clock=clock)
        submitted.refresh_from_db()
        assert (submitted.state, submitted.claims, len(ticked)) == (ChangeState.CHECKING, tries, tries)
        assert "tried again" in submitted.check_note
        clock.advance(60)
    worker.work(5.0, clock=clock)
    submitted.refresh_from_db()
    assert (submitted.state, submitted.revision, submitted.due_at) == (ChangeState.DRAFT, 2, None)
    assert "Fleet OS itself met an error, 3 times in a row" in submitted.check_note
    assert not Target.objects.filter(open=True).exists()
    event = AuditEvent.objects.latest("number")
    assert (event.action, event.data["code"]) == ("change.check_failed", "InternalError")
    assert len(ticked) == 3
    assert caplog.text.count("what nobody thought of") >= 3


@pytest.mark.parametrize(
    ("code", "seconds"),
    [("Throttling.User", 40), ("ServiceUnavailable", 5)],
    ids=["from the next minute", "soon"],
)
def test_where_the_cloud_does_not_answer_the_check_is_tried_again(
    submitted: Change, fleet: Emulator, code: str, seconds: int
) -> None:
    clock = ManualClock(submitted.submitted_at.replace(second=20, microsecond=0) + timedelta(minutes=1))
    fleet.faults({"kind": "error", "action": "DescribeInstances", "code": code, "times": 100})
    checking.check_due(clock)
    submitted.refresh_from_db()
    assert (submitted.state, submitted.checked) == (ChangeState.CHECKING, 0)
    assert submitted.check_note == f"The cloud does not answer ({code}); it is asked again."
    assert submitted.due_at == clock.now() + timedelta(seconds=seconds)
    fleet.faults()
    clock.advance(seconds)
    fleets.check_all(clock)
    submitted.refresh_from_db()
    assert submitted.state == ChangeState.IN_REVIEW


def test_what_the_cloud_refuses_to_show_goes_back_to_the_author(
    submitted: Change, fleet: Emulator, clock: ManualClock
) -> None:
    fleet.faults({"kind": "error", "action": "DescribeInstances", "code": "Forbidden.RAM", "times": 100})
    checking.check_due(clock)
    submitted.refresh_from_db()
    assert (submitted.state, submitted.due_at) == (ChangeState.DRAFT, None)
    assert "the cloud refused to show them" in submitted.check_note
    event = AuditEvent.objects.latest("number")
    assert (event.action, event.data["code"]) == ("change.check_failed", "Forbidden.RAM")
