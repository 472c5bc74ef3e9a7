"""When a cluster counts as stuck: by what it has to show, on a clock that the test turns."""

from datetime import UTC, datetime, timedelta

from fleet.management.worker.liveness import Liveness, QueueSnapshot

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def sight(*, beat: int | None = None, queued: tuple[int, ...] = (), tick_waits: bool = False) -> QueueSnapshot:
    return QueueSnapshot(
        beat=None if beat is None else NOON + timedelta(seconds=beat),
        queued=frozenset(queued),
        tick_waits=tick_waits,
    )


def begun() -> Liveness:
    pulse = Liveness(stale=45)
    pulse.begin(now=1000)
    return pulse


def test_a_cluster_that_executes_and_acknowledges_lives() -> None:
    pulse = begun()

    for step in range(20):
        assert pulse.fault(sight=sight(beat=step, queued=(step,)), now=1000 + 30 * step) == ""


def test_without_executed_ticks_it_is_stuck_after_the_time_given() -> None:
    pulse = begun()

    assert pulse.fault(sight=sight(beat=1), now=1045) == ""
    assert pulse.fault(sight=sight(beat=1), now=1046) == "no tick was executed for 46 s"


def test_ticks_that_run_but_are_never_acknowledged_are_no_life() -> None:
    pulse = begun()

    # A dead monitor: the heartbeat moves, the rows stay, and more and more pile up.
    for step in range(5):
        assert pulse.fault(sight=sight(beat=step, queued=tuple(range(step + 1))), now=1001 + 10 * step) == ""

    fault = pulse.fault(sight=sight(beat=9, queued=(0, 1, 2, 3, 4, 5)), now=1046)
    assert fault == "no task was acknowledged for 46 s"


def test_a_heartbeat_from_before_is_not_a_sign_of_this_cluster() -> None:
    pulse = begun()

    pulse.fault(sight=sight(beat=-5), now=1001)

    assert not pulse.proven
    assert pulse.fault(sight=sight(beat=-5), now=1046)


def test_a_task_that_comes_and_goes_between_two_looks_counts() -> None:
    pulse = begun()
    left_by_a_dead_cluster = (1,)  # locked for minutes: nobody can acknowledge it before

    for step in range(10):
        seen = sight(beat=step, queued=left_by_a_dead_cluster)
        assert pulse.fault(sight=seen, now=1000 + 20 * step) == ""
        pulse.rang(task=100 + step)


def test_the_bell_rings_at_once_then_only_when_nothing_was_executed_for_a_while() -> None:
    pulse = begun()
    assert pulse.wants_bell(sight=sight(), now=1001)
    pulse.rang(task=1)

    assert not pulse.wants_bell(sight=sight(queued=(1,), tick_waits=True), now=1030)
    assert not pulse.wants_bell(sight=sight(), now=1011)
    assert pulse.wants_bell(sight=sight(), now=1012)


def test_an_idle_cluster_beside_another_that_ticks_is_given_something_to_acknowledge() -> None:
    pulse = begun()
    left_by_a_dead_cluster = (1, 2, 3)  # and the heartbeat moves by a runner's turns
    pulse.fault(sight=sight(beat=0, queued=(*left_by_a_dead_cluster, 9)), now=1002)
    pulse.rang(task=9)

    for step in range(1, 40):
        now = 1000 + 5 * step
        seen = sight(beat=step, queued=left_by_a_dead_cluster)
        assert pulse.fault(sight=seen, now=now) == ""
        if pulse.wants_bell(sight=seen, now=now):
            pulse.rang(task=100 + step)


def test_time_without_a_database_does_not_count() -> None:
    pulse = begun()
    pulse.fault(sight=sight(beat=1, queued=(1,)), now=1010)

    pulse.begin(now=5000)

    assert pulse.fault(sight=sight(beat=1, queued=(1,)), now=5044) == ""
    assert pulse.fault(sight=sight(beat=1, queued=(1,)), now=5046)
