"""The run of a change on its page: from Start to the outcome, what stops it, and what a person decides."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.models import (
    AuditEvent,
    Change,
    ChangeState,
    Instance,
    Outcome,
    Replacement,
    ReplacementState,
    Role,
    Target,
)
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.web.people import account, person, signed_in

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def clock() -> ManualClock:
    # The pages take the database's time; the worker of these tests comes a little later.
    return ManualClock(datetime.now(UTC) + timedelta(seconds=30))


@pytest.fixture
def fleet(db: None, emulator: Emulator) -> Emulator:
    emulator.reset(instances=90)  # enough for these tests, and read in a third of the time
    fleets.mirror(emulator)
    return emulator


@pytest.fixture
def operator(fleet: Emulator) -> Client:
    return signed_in(fleets.person("operator"))


def url(name: str, *args: Any) -> str:
    return reverse(name, args=args)


def test_the_whole_way_from_ticked_machines_to_new_disks(fleet: Emulator, clock: ManualClock, operator: Client) -> None:
    machines, image = fleets.plain(3), fleets.image_named("Ubuntu 24.04")
    old = {machine.instance_id: machine.disk_id for machine in machines}
    answer = operator.post(url("draft-new"), {"instance": [m.pk for m in machines]})
    change = Change.objects.get()
    assert answer["Location"] == url("draft", change.pk)
    typed = {
        "image_id": image.image_id,
        "disk_size": "60",
        "login": "key_pair",
        "key_pair": "ops-2026",
        "max_in_flight": "2",
        "failures_allowed": "0",
        "title": "Three to Ubuntu 24.04",
        "reason": "Out of support.",
    }
    answer = operator.post(url("draft-submit", change.pk), typed)
    assert (answer.status_code, answer.headers.get("Location")) == (302, url("change", change.pk)), answer.text
    assert "0</b> of 3 machines read" in operator.get(url("change", change.pk)).text
    fleets.check_all(clock)
    assert operator.get(url("checking-live", change.pk), headers=HTMX)["HX-Redirect"] == url("change", change.pk)
    reviewer = signed_in(fleets.person("reviewer"))
    page = reviewer.get(url("change", change.pk)).text
    digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', page)[0]
    assert "3 machines will lose everything on their system disks" in page
    answer = reviewer.post(url("change-approve", change.pk), {"digest": digest, "confirm": "3"})
    assert answer.status_code == 302
    page = operator.get(url("change", change.pk)).text
    assert "Start: replace 3 system disks" in page
    assert operator.post(url("change-start", change.pk)).status_code == 302
    page = operator.get(url("change", change.pk)).text
    assert 'hx-trigger="every 2s"' in page
    assert "<b>0</b> of 3 machines" in page
    fleets.drive(clock)
    change.refresh_from_db()
    assert change.state == ChangeState.FINISHED
    page = operator.get(url("change", change.pk)).text
    assert "All 3 machines have a new system disk" in page
    assert "every 2s" not in page
    for row in change.replacements.select_related("instance"):
        assert f"<s>{old[row.instance.instance_id]}</s>" in page
        assert row.new_disk_id in page


# --- A run that stands still, in rows.


@pytest.fixture
def halfway(fleet: Emulator, clock: ManualClock) -> Change:
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


def words(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.text))


def test_the_page_says_where_the_machines_are_and_what_each_button_would_do(halfway: Change, operator: Client) -> None:
    page = words(operator.get(url("change", halfway.pk)))
    assert "1 of 6 machines" in page
    assert "2 of 3 allowed; failure 4 stops it" in page
    assert "worst case from here 3 more" in page
    assert "2 queued" in page
    assert "1 stopping" in page
    assert "1 held" in page
    assert "2 wait; 1 in flight is driven to an end, which replaces its disk, and 1 held waits for a person." in page
    assert "2 keep the old system for good" in page


def test_machines_that_need_eyes_come_first(halfway: Change, operator: Client) -> None:
    page = operator.get(url("change", halfway.pk)).text
    shown = re.findall(r'id="m-(\d+)"', page)
    states = [Replacement.objects.get(pk=int(pk)).state for pk in shown]
    assert states == ["held", "failed", "stopping", "queued", "queued", "done"]


def test_causes_are_gathered_with_the_next_act(halfway: Change, operator: Client) -> None:
    page = words(operator.get(url("change", halfway.pk)))
    assert "Held The answer was lost" in page
    assert "Old system intact Did not stop in 10 min." in page
    assert "IncorrectInstanceStatus" in page


def test_a_poll_swaps_only_figures_while_nothing_else_moved(halfway: Change, operator: Client) -> None:
    page = operator.get(url("change", halfway.pk)).text
    polled = re.findall(r'hx-get="(/changes/\d+/live\?[^"]+)"', page)[0].replace("&amp;", "&")
    answer = operator.get(polled, headers=HTMX).text
    assert 'id="gauges"' in answer
    assert "<button" not in answer
    assert 'id="run-detail"' not in answer
    Replacement.objects.filter(change=halfway, state="stopping").update(note="It stops.")
    assert 'id="run-detail" hx-swap-oob="true"' in operator.get(polled, headers=HTMX).text
    Change.objects.filter(pk=halfway.pk).update(state="tripped")
    answer = operator.get(polled, headers=HTMX).text
    assert 'id="run-acts" hx-swap-oob="true"' in answer
    assert "It stopped by itself: 2 failed, 3 were allowed." in re.sub(r"<[^>]+>", "", answer)
    Change.objects.filter(pk=halfway.pk).update(state="finished", finished_at=DatabaseClock().now())
    assert "every 2s" not in operator.get(polled, headers=HTMX).text


def test_a_poll_without_htmx_is_sent_to_the_page(halfway: Change, operator: Client) -> None:
    assert operator.get(url("run-live", halfway.pk))["Location"] == url("change", halfway.pk)


def test_pause_go_on_and_end(halfway: Change, operator: Client) -> None:
    assert operator.post(url("change-pause", halfway.pk)).status_code == 302
    page = words(operator.get(url("change", halfway.pk)))
    assert "Paused. Nothing new starts" in page
    assert "Let it go on" in page
    assert operator.post(url("change-pause", halfway.pk)).status_code == 409
    assert operator.post(url("change-resume", halfway.pk)).status_code == 302
    assert operator.post(url("change-cancel", halfway.pk)).status_code == 302
    assert halfway.replacements.filter(outcome=Outcome.CANCELLED).count() == 2
    assert "2 not started" in words(operator.get(url("change", halfway.pk)))


def test_a_held_machine_is_looked_at_again_or_given_up(halfway: Change, operator: Client) -> None:
    row = halfway.replacements.get(state="held")
    page = operator.get(url("change", halfway.pk)).text
    assert url("change-look-again", halfway.pk, row.pk) in page
    assert operator.post(url("change-look-again", halfway.pk, row.pk)).status_code == 302
    row.refresh_from_db()
    assert row.state == ReplacementState.REPLACING
    answer = operator.post(url("change-give-up", halfway.pk, row.pk))
    assert answer.status_code == 409
    assert "This machine is no longer held" in answer.text
    Replacement.objects.filter(pk=row.pk).update(state="held", held_from="replacing", due_at=None)
    assert operator.post(url("change-give-up", halfway.pk, row.pk)).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.outcome) == (ReplacementState.FAILED, Outcome.UNKNOWN)


@pytest.mark.parametrize("act", ["change-start", "change-pause", "change-cancel"])
def test_a_reviewer_gets_no_buttons_and_a_403_on_the_trail(halfway: Change, act: str) -> None:
    reviewer = signed_in(fleets.person("reviewer"))
    page = reviewer.get(url("change", halfway.pk)).text
    assert url("change-pause", halfway.pk) not in page
    answer = reviewer.post(url(act, halfway.pk))
    assert answer.status_code == 403
    assert "This needs the role operator for all of its machines" in answer.text
    assert AuditEvent.objects.filter(action="person.refused", actor_name="reviewer").count() == 1


def test_what_ended_otherwise_can_be_drafted_anew(halfway: Change, operator: Client) -> None:
    failed = halfway.replacements.get(state="failed")
    Change.objects.filter(pk=halfway.pk).update(state="finished", finished_at=DatabaseClock().now())
    halfway.targets.update(open=False)
    page = operator.get(url("change", halfway.pk)).text
    assert f'<input type="hidden" name="instance" value="{failed.instance_id}">' in page
    answer = operator.post(url("draft-new"), {"instance": failed.instance_id})
    new = Change.objects.order_by("-pk")[0]
    assert answer["Location"] == url("draft", new.pk)


def test_what_was_approved_stays_readable_while_it_runs(halfway: Change, operator: Client) -> None:
    page = operator.get(url("change-review", halfway.pk)).text
    assert "This is what was approved." in page
    assert url("change-start", halfway.pk) not in page


def test_thousands_of_machines_cost_no_more_queries_and_get_a_bar() -> None:
    prod, author = account(), person("operator", Role.OPERATOR)
    client = signed_in(author)
    now = DatabaseClock().now()

    def made(machines: int, first: int) -> Change:
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
        policy = {"max_in_flight": 5, "failures_allowed": 2}
        one = Change.objects.create(
            author=author, title="x", state="running", created_at=now, edited_at=now, started_at=now, policy=policy
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
                state="queued",
                entered_at=now,
            )
            for target in targets
        )
        return one

    asked = []
    for change, tiles in ((made(10, 0), 10), (made(2001, 100), 0)):
        with CaptureQueriesContext(connection) as queries:
            page = client.get(url("change", change.pk)).text
        asked.append(len(queries))
        assert page.count('<i class="q"></i>') - 1 == tiles
        assert page.count('<th scope="row">') <= 50
    assert asked[0] == asked[1] <= 20


def test_one_tile_a_machine_with_the_counts_in_words(halfway: Change, operator: Client) -> None:
    page = operator.get(url("change", halfway.pk)).text
    tiles = re.search(r'class="tiles[^"]*" role="img" aria-label="([^"]+)">(.*?)</div>', page)
    assert tiles
    assert tiles[1] == "1 done, 1 in flight, 1 failed, 1 held, 0 skipped or not started, 2 queued"
    assert re.findall(r'class="(\w)"', tiles[2]) == ["d", "f", "u", "m", "q", "q"]
