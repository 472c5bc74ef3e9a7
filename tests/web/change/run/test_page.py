"""The run of a change on its page: from Start to the outcome, with its machines and the causes of what went wrong."""

import re

import pytest
from django.test import Client

from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.models import Change, ChangeState, Replacement
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.support.people import signed_in
from tests.support.rules import rules_off
from tests.web.change.runs import url, words

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


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
    change.refresh_from_db()
    fleets.mark_all(change, clock)
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
    assert "<b>0</b> done of 3 machines" in page
    fleets.drive(clock)
    change.refresh_from_db()
    assert change.state == ChangeState.FINISHED
    page = operator.get(url("change", change.pk)).text
    assert "All 3 machines have a new system disk" in page
    assert "every 2s" not in page
    for row in change.replacements.select_related("instance"):
        assert f"<s>{old[row.instance.instance_id]}</s>" in page
        assert row.new_disk_id in page


def test_the_page_says_where_the_machines_are_and_what_the_budgets_still_take(
    halfway: Change, operator: Client
) -> None:
    page = words(operator.get(url("change", halfway.pk)))
    assert "1 done of 6 machines" in page
    assert "2 of 3 failures allowed; failure 4 stops it" in page
    assert "worst case from here 3 more" in page
    assert "1 stopping" in page
    assert "1 held · 2 queued" in page
    assert "1 done, 1 in flight, 1 failed, 1 held, 2 queued" in page


def test_machines_that_need_eyes_come_first(halfway: Change, operator: Client) -> None:
    page = operator.get(url("change", halfway.pk)).text
    shown = re.findall(r'id="m-(\d+)"', page)
    states = [Replacement.objects.get(pk=int(pk)).state for pk in shown]
    assert states == ["held", "failed", "stopping", "queued", "queued", "done"]


def test_causes_are_clusters_with_the_next_act_and_the_machines_of_each(halfway: Change, operator: Client) -> None:
    answer = operator.get(url("change", halfway.pk))
    page = words(answer)
    assert "Held What was done is not certain" in page
    assert "Old system intact Did not stop in time" in page
    assert "IncorrectInstanceStatus" in page
    keys = re.findall(r"\?cluster=([0-9a-f]{12})#machines", answer.text)
    assert len(keys) == 2
    listed = operator.get(url("change", halfway.pk), {"cluster": keys[0]}).text
    assert len(re.findall(r'id="m-\d+"', listed)) == 1


def test_what_ended_otherwise_can_be_drafted_anew(halfway: Change, operator: Client) -> None:
    failed = halfway.replacements.get(state="failed")
    halfway.replacements.exclude(pk=failed.pk).update(state="done", outcome="succeeded")
    with rules_off():
        Change.objects.filter(pk=halfway.pk).update(state="finished", finished_at=DatabaseClock().now())
    halfway.targets.update(open=False)
    page = operator.get(url("change", halfway.pk)).text
    answer = operator.post(re.findall(r'action="([^"]+/redraft/[^"]+)"', page)[0])
    new = Change.objects.order_by("-pk")[0]
    assert answer["Location"] == url("draft", new.pk)
    assert [target.instance_id for target in new.targets.all()] == [failed.instance_id]
    assert operator.post(url("run-redraft", halfway.pk, "no-such")).status_code == 422


def test_what_was_approved_stays_readable_while_it_runs(halfway: Change, operator: Client) -> None:
    page = operator.get(url("change-review", halfway.pk)).text
    assert "This is what was approved." in page
    assert url("change-start", halfway.pk) not in page
