"""The poll of a run: bounded, constant in queries, and swapping nothing that did not move."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Change, Instance, Replacement, Role, StepTiming, Target, User
from tests.support.people import account, person, signed_in
from tests.support.rules import rules_off

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
STATES: tuple[tuple[dict[str, Any], int], ...] = (
    ({"state": "done", "outcome": "succeeded", "new_disk_id": "d-new"}, 4),
    ({"state": "failed", "outcome": "failed_untouched", "error_code": "IncorrectInstanceStatus"}, 1),
    ({"state": "held", "held_from": "replacing", "note": "The answer was lost."}, 1),
    ({"state": "stopping", "note": "It was asked to stop."}, 1),
    ({"state": "queued"}, 3),
)


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def author(prod: Account) -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def operator(author: User) -> Client:
    return signed_in(author)


def run_of(prod: Account, author: User, machines: int, *, first: int = 0, waves: int = 1) -> Change:
    """Make a running change of so many machines in rows, a tenth of them in each of ten states."""
    now = DatabaseClock().now()
    told = [fields for fields, tenths in STATES for _ in range(tenths)]
    rows = Instance.objects.bulk_create(
        Instance(
            account=prod,
            instance_id=f"i-{first + number}",
            name=f"m-{first + number}",
            region="cn-hangzhou",
            status="Running",
            seen_at=now,
        )
        for number in range(machines)
    )
    policy = {"max_in_flight": 5, "failures_allowed": machines, "growth": "fixed", "wave_size": machines // waves}
    with rules_off():
        one = Change.objects.create(
            author=author,
            title="x",
            state="running",
            created_at=now,
            edited_at=now,
            started_at=now,
            wave_opened_at=now,
            policy=policy,
        )
        targets = Target.objects.bulk_create(
            Target(change=one, instance=row, position=place, seen={"disk_id": f"d-{place}"})
            for place, row in enumerate(rows)
        )
    Replacement.objects.bulk_create(
        Replacement(
            target=target,
            change=one,
            account=prod,
            instance=target.instance,
            region="cn-hangzhou",
            entered_at=now,
            wave=target.position * waves // machines,
            **told[target.position % 10],
        )
        for target in targets
    )
    return one


def polled_of(page: str) -> str:
    return str(re.findall(r'hx-get="(/changes/\d+/live\?[^"]+)"', page)[0]).replace("&amp;", "&")


def test_ten_thousand_machines_cost_what_ten_do(
    prod: Account, author: User, operator: Client, report: Callable[[str], None]
) -> None:
    found = []
    for machines, waves in ((10, 2), (1_000, 100), (10_000, 1_000)):
        change = run_of(prod, author, machines, first=machines * 10, waves=waves)
        # As autovacuum does; rows of this transaction are unknown to the planner otherwise.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as of_page:
            page = operator.get(reverse("change", args=[change.pk])).text
        on_page = len(of_page)  # the log is emptied by the next request
        with CaptureQueriesContext(connection) as of_poll:
            poll = operator.get(polled_of(page), headers=HTMX).text
        on_poll = len(of_poll)
        everything = operator.get(reverse("run-live", args=[change.pk]), headers=HTMX).text
        found.append((on_page, len(page), on_poll, len(poll), len(everything)))
        report(
            f"run of {machines:,}: page {on_page} queries, {len(page):,} bytes;"
            f" poll {on_poll} queries, {len(poll):,} bytes, {len(everything):,} where everything moved"
        )
        assert page.count('<th scope="row">') <= 25
        assert page.count('class="rung') <= 12 * 4
    small, thousand, large = found
    assert small[2] == thousand[2] <= 20
    # Tiles are read by one query, which is not made where there are too many.
    assert (large[0], large[2]) == (thousand[0] - 1, thousand[2] - 1)
    assert large[1] < 120_000
    assert large[3] < 8_000
    assert large[4] < 80_000


def test_a_poll_swaps_only_figures_while_nothing_else_moved(prod: Account, author: User, operator: Client) -> None:
    change = run_of(prod, author, 10)
    polled = polled_of(operator.get(reverse("change", args=[change.pk])).text)
    answer = operator.get(polled, headers=HTMX).text
    assert 'id="gauges"' in answer
    for name in ("run-state", "run-causes", "run-waves", "machines"):
        assert f'id="{name}"' not in answer
    Replacement.objects.filter(change=change, state="stopping").update(note="It stops.")
    answer = operator.get(polled, headers=HTMX).text
    assert re.findall(r'id="([\w-]+)" [^>]*hx-swap-oob', answer) == ["line-now", "machines"]
    with rules_off():
        Change.objects.filter(pk=change.pk).update(state="tripped", waits_for="2 machines failed; 1 may.")
    answer = operator.get(polled, headers=HTMX).text
    assert 'id="run-state" hx-swap-oob="true"' in answer
    assert "2 machines failed; 1 may." in answer
    with rules_off():
        Change.objects.filter(pk=change.pk).update(state="finished", finished_at=DatabaseClock().now())
    assert "every 2s" not in operator.get(polled, headers=HTMX).text


def test_a_poll_without_htmx_is_sent_to_the_page(prod: Account, author: User, operator: Client) -> None:
    change = run_of(prod, author, 10)
    assert operator.get(reverse("run-live", args=[change.pk]))["Location"] == reverse("change", args=[change.pk])


def test_one_tile_a_machine_in_its_wave(prod: Account, author: User, operator: Client) -> None:
    page = operator.get(reverse("change", args=[run_of(prod, author, 10, waves=2).pk])).text
    tiles = re.findall(r'class="tiles[^"]*" role="img" aria-label="([^"]+)">(.*?)</div>', page)
    assert [re.findall(r'class="(\w)"', each) for _, each in tiles] == [list("ddddf"), list("umqqq")]
    assert tiles[1][0] == "1 in flight, 1 held, 3 queued"


def test_the_forecast_follows_what_machines_take(prod: Account, author: User, operator: Client) -> None:
    change = run_of(prod, author, 100)

    def told() -> str:
        page = operator.get(reverse("change", args=[change.pk])).text
        return re.sub(r"<[^>]+>", "", re.findall(r"<h2>Time</h2>(.*?)</section>", page, re.DOTALL)[0])

    before = told()
    for state, seconds in (("stopping", 700.0), ("replacing", 1400.0), ("starting", 900.0)):
        StepTiming.objects.create(account=prod, state=state, seconds=seconds, longest=seconds, seen=5)
    after = told()
    assert re.findall(r"about (\d+ min)", before)
    assert re.findall(r"about (\d+ h)", after)


def test_what_is_wanted_by_now_follows_what_machines_take(prod: Account, author: User, operator: Client) -> None:
    change = run_of(prod, author, 100)
    begun = DatabaseClock().now() - timedelta(minutes=10)
    with rules_off():
        Change.objects.filter(pk=change.pk).update(started_at=begun, wave_opened_at=begun)
    page = operator.get(reverse("change", args=[change.pk])).text
    assert "15 wanted by now" in page  # three rounds of five, each of 165 seconds
    assert "behind" not in page
    change.replacements.filter(state__in=("done", "failed")).update(state="queued", outcome="")
    page = operator.get(reverse("change", args=[change.pk])).text
    assert "15 wanted by now, 15 behind" in page
    ahead = DatabaseClock().now() + timedelta(minutes=1)  # the clocks of two servers differ
    with rules_off():
        Change.objects.filter(pk=change.pk).update(wave_opened_at=ahead)
    assert "wanted by now" not in operator.get(reverse("change", args=[change.pk])).text
