"""When a cluster counts as stuck: by what it has to show, on a clock that the test turns."""

from datetime import UTC, datetime, timedelta

from fleet.management.worker.liveness import Liveness, QueueSnapshot

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def queue(*, beat: int | None = None, queued: tuple[int, ...] = (), tick_waits: bool = False) -> QueueSnapshot:
    return QueueSnapshot(
        beat=None if beat is None else NOON + timedelta(seconds=beat),
        queued=frozenset(queued),
        tick_waits=tick_waits,
    )


def begun() -> Liveness:
    liveness = Liveness(stale=45)
    liveness.begin(now=1000)
    return liveness


def test_a_cluster_that_executes_and_acknowledges_lives() -> None:
    liveness = begun()

    for step in range(20):
        assert liveness.fault(snapshot=queue(beat=step, queued=(step,)), now=1000 + 30 * step) == ""


def test_without_executed_ticks_it_is_stuck_after_the_time_given() -> None:
    liveness = begun()

    assert liveness.fault(snapshot=queue(beat=1), now=1045) == ""
    assert liveness.fault(snapshot=queue(beat=1), now=1046) == "no tick was executed for 46 s"


def test_ticks_that_run_but_are_never_acknowledged_are_no_life() -> None:
    liveness = begun()

    # A dead monitor: the heartbeat moves, the rows stay, and more and more pile up.
    for step in range(5):
        assert liveness.fault(snapshot=queue(beat=step, queued=tuple(range(step + 1))), now=1001 + 10 * step) == ""

    fault = liveness.fault(snapshot=queue(beat=9, queued=(0, 1, 2, 3, 4, 5)), now=1046)
    assert fault == "no task was acknowledged for 46 s"


def test_a_heartbeat_from_before_is_not_a_sign_of_this_cluster() -> None:
    liveness = begun()

    liveness.fault(snapshot=queue(beat=-5), now=1001)

    assert not liveness.proven
    assert liveness.fault(snapshot=queue(beat=-5), now=1046)


def test_a_task_that_comes_and_goes_between_two_looks_counts() -> None:
    liveness = begun()
    left_by_a_dead_cluster = (1,)  # locked for minutes: nobody can acknowledge it before

    for step in range(10):
        seen = queue(beat=step, queued=left_by_a_dead_cluster)
        assert liveness.fault(snapshot=seen, now=1000 + 20 * step) == ""
        liveness.note_queued(task=100 + step)


def test_the_bell_rings_at_once_then_only_when_nothing_was_executed_for_a_while() -> None:
    liveness = begun()
    assert liveness.wants_tick(snapshot=queue(), now=1001)
    liveness.note_queued(task=1)

    assert not liveness.wants_tick(snapshot=queue(queued=(1,), tick_waits=True), now=1030)
    assert not liveness.wants_tick(snapshot=queue(), now=1011)
    assert liveness.wants_tick(snapshot=queue(), now=1012)


def test_an_idle_cluster_beside_another_that_ticks_is_given_something_to_acknowledge() -> None:
    liveness = begun()
    left_by_a_dead_cluster = (1, 2, 3)  # and the heartbeat moves by a runner's turns
    liveness.fault(snapshot=queue(beat=0, queued=(*left_by_a_dead_cluster, 9)), now=1002)
    liveness.note_queued(task=9)

    for step in range(1, 40):
        now = 1000 + 5 * step
        seen = queue(beat=step, queued=left_by_a_dead_cluster)
        assert liveness.fault(snapshot=seen, now=now) == ""
        if liveness.wants_tick(snapshot=seen, now=now):
            liveness.note_queued(task=100 + step)


def test_time_without_a_database_does_not_count() -> None:
    liveness = begun()
    liveness.fault(snapshot=queue(beat=1, queued=(1,)), now=1010)

    liveness.begin(now=5000)

    assert liveness.fault(snapshot=queue(beat=1, queued=(1,)), now=5044) == ""
    assert liveness.fault(snapshot=queue(beat=1, queued=(1,)), now=5046)
