"""The whole judgement of a draft: its cost does not grow with the machines, and its pages show the worst first."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.changes.judging.judgement import DraftJudgement, judge_draft, list_machines
from fleet.changes.judging.machine import disk_request_of, judge_some
from fleet.lib.clock import DatabaseClock
from fleet.models import Change, Instance, Role
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.support.people import account, change, image, machine, person, replacement

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


def draft(machines: list[Instance]) -> Change:
    return fleets.draft(machines, fleets.image_named("Ubuntu 24.04"), NOW, disk_size=40)


def judged(change: Change) -> tuple[DraftJudgement, int]:
    with CaptureQueriesContext(connection) as queries:
        judgement = judge_draft(change=change, disk_request=disk_request_of(change), now=NOW)
    return judgement, len(queries)


def test_many_machines_cost_as_many_queries_as_one(fleet: Emulator) -> None:
    everything = list(Instance.objects.present().order_by("pk"))
    (one, few), (all_of_them, many) = judged(draft(everything[:1])), judged(draft(everything))
    assert few == many <= 6
    assert (one.total, all_of_them.total) == (1, len(everything))
    assert len(all_of_them.alike_machines) < all_of_them.total


def test_a_page_shows_blocked_machines_first_and_then_those_with_warnings(fleet: Emulator) -> None:
    machines = fleets.plain(12)
    # One cannot shrink to 40 GiB, and two carry data disks.
    Instance.objects.filter(pk=machines[7].pk).update(disk_size=100)
    Instance.objects.filter(pk__in=[machines[3].pk, machines[9].pk]).update(data_disks=1, os_name="Ubuntu 24.04 64 bit")
    Instance.objects.exclude(pk__in=[machines[3].pk, machines[9].pk]).update(data_disks=0)
    Instance.objects.update(key_pair="ops-2026", seen_at=NOW, os_name="Ubuntu 22.04 64 bit", image_id="m-0", tags={})
    change = draft(machines)
    judgement, _ = judged(change)
    assert (judgement.blocked, judgement.warned, judgement.ready) == (1, 2, 9)

    pages = [
        list_machines(
            change=change, judgement=judgement, disk_request=disk_request_of(change), now=NOW, start=start, limit=5
        )
        for start in (0, 5, 10)
    ]
    assert [len(page) for page in pages] == [5, 5, 2]
    shown = [one.target.instance.pk for page in pages for one in page]
    assert shown[:3] == [machines[7].pk, machines[3].pk, machines[9].pk]
    assert sorted(shown) == sorted(machine.pk for machine in machines)
    assert [bool(one.refusal) for one in pages[0]] == [True, False, False, False, False]


def test_a_machine_that_was_left_out_meanwhile_is_not_listed(fleet: Emulator) -> None:
    change = draft(fleets.plain(3))
    judgement, _ = judged(change)
    change.targets.order_by("pk").first().delete()  # type: ignore[union-attr]
    assert (
        len(
            list_machines(
                change=change, judgement=judgement, disk_request=disk_request_of(change), now=NOW, start=0, limit=5
            )
        )
        == 2
    )


def test_every_field_that_blocks_is_named_and_not_the_first_alone(fleet: Emulator) -> None:
    change = fleets.draft(fleets.plain(2), fleets.image_named("Ubuntu 24.04"), NOW, disk_size=39, key_pair="nobody")
    judgement, _ = judged(change)
    assert [cause.problem.field for cause in judgement.refused] == ["key_pair"]
    assert {field for field, _, _ in judgement.by_field()} == {"key_pair", "disk_size"}
    assert all(cause.machines == 2 for cause in judgement.by_field().values())


def test_the_oldest_reading_is_told(fleet: Emulator) -> None:
    machines = fleets.plain(2)
    old = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    Instance.objects.filter(pk=machines[1].pk).update(seen_at=old)
    judgement, _ = judged(draft(machines))
    assert judgement.seen_at is not None
    assert abs((judgement.seen_at - old).total_seconds()) < 0.001


def test_a_draft_without_machines_is_judged_as_nothing(fleet: Emulator) -> None:
    change = draft(fleets.plain(1))
    change.targets.all().delete()
    judgement, _ = judged(change)
    assert (judgement.total, judgement.alike_machines, judgement.seen_at) == (0, [], None)


@pytest.mark.parametrize(
    ("outcome", "warned"),
    [("succeeded", True), ("adopted", True), ("failed_replaced", True), ("failed_untouched", False)],
)
def test_a_disk_that_came_today_is_warned_of_even_where_the_machine_then_failed(outcome: str, warned: bool) -> None:
    one, author = machine(account(), 1), person("operator", Role.OPERATOR)
    done = change(author, [one], state="finished")
    replacement(done, one, "failed" if "failed" in outcome else "done", outcome)
    done.targets.update(open=False)
    image(one.account)
    Instance.objects.update(tags={"fleet-os": "allowed"})
    again = change(author, [one], state="draft", image_id="ubuntu_24_04_x64", login="image")
    now = DatabaseClock().now()
    judgement = judge_draft(change=again, disk_request=disk_request_of(again), now=now)
    assert ("replaced_lately" in [cause.problem.code for cause in judgement.warned_of]) == warned
    [single] = judge_some(
        change=again,
        targets=list(again.targets.select_related("instance")),
        disk_request=disk_request_of(again),
        now=now,
    )
    assert ("replaced_lately" in [problem.code for problem in single.problems]) == warned
