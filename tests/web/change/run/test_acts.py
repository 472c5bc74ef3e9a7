"""What people do to a run: each act is previewed in numbers, then done, and refused in a sentence."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.models import AuditEvent, Change, ChangeState, Outcome, Replacement, ReplacementState
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.support.people import signed_in
from tests.support.rules import rules_off
from tests.web.change.runs import act, url, words

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pause", "1 machine goes back to what it was, and to the queue. 0 past the line of no return are driven"),
        ("cancel", "2 machines never begin. 1 machine goes back to what it was."),
    ],
)
def test_an_act_is_previewed_in_numbers_as_a_page_and_as_a_dialog(
    halfway: Change, operator: Client, name: str, says: str
) -> None:
    whole = operator.get(act(halfway, name))
    assert says in words(whole)
    assert "<html" in whole.text
    fragment = operator.get(act(halfway, name), headers=HTMX)
    assert says in words(fragment)
    assert "<html" not in fragment.text
    halfway.refresh_from_db()
    assert halfway.state == ChangeState.RUNNING


def test_pause_go_on_and_end(halfway: Change, operator: Client) -> None:
    assert operator.post(act(halfway, "pause")).status_code == 302
    page = words(operator.get(url("change", halfway.pk)))
    assert "Paused. Nothing new begins" in page
    assert "Let it go on" in page
    refused = operator.post(act(halfway, "pause"))
    assert refused.status_code == 409
    assert "It is paused, not running." in words(refused)
    assert operator.post(act(halfway, "resume")).status_code == 302
    assert operator.post(act(halfway, "cancel")).status_code == 302
    assert halfway.replacements.filter(state="cancelled", outcome=Outcome.CANCELLED).count() == 2


def test_a_whole_cluster_is_given_back_by_one_press(halfway: Change, operator: Client) -> None:
    row = halfway.replacements.get(state="held")
    Replacement.objects.filter(pk=halfway.replacements.filter(state="queued")[0].pk).update(
        state="held", held_from="replacing", first_sent_at=row.first_sent_at, token="t4"
    )
    page = operator.get(url("change", halfway.pk)).text
    link = re.findall(r'href="([^"]+look_again\?cluster=[0-9a-f]+)"', page)[0]
    assert "2 machines are looked at again, with the same token" in words(operator.get(link))
    key = link.partition("cluster=")[2]
    assert operator.post(act(halfway, "look_again"), {"cluster": key}).status_code == 302
    assert halfway.replacements.filter(state="held").count() == 0
    gone = operator.post(act(halfway, "look_again"), {"cluster": key})
    assert gone.status_code == 409
    assert "These machines moved on meanwhile" in words(gone)


def test_one_machine_is_given_up_or_skipped(halfway: Change, operator: Client) -> None:
    row = halfway.replacements.get(state="held")
    assert operator.post(act(halfway, "give_up"), {"machine": row.pk}).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.outcome) == (ReplacementState.FAILED, Outcome.UNKNOWN)
    assert operator.post(act(halfway, "give_up"), {"machine": row.pk}).status_code == 409
    queued = halfway.replacements.filter(state="queued")[0]
    assert "1 machine keeps its old system" in words(operator.get(act(halfway, "skip"), {"machine": queued.pk}))
    assert operator.post(act(halfway, "skip"), {"machine": queued.pk}).status_code == 302
    queued.refresh_from_db()
    assert queued.outcome == Outcome.CANCELLED


def test_an_inconclusive_step_is_judged_by_one_of_two_buttons(halfway: Change, operator: Client) -> None:
    row = halfway.replacements.get(state="held")
    Replacement.objects.filter(pk=row.pk).update(
        held_from="after", error_code="Inconclusive", new_disk_id="d-9", note="No verdict."
    )
    told = words(operator.get(act(halfway, "judge"), {"machine": row.pk}))
    assert "It serves" in told
    assert "It does not serve" in told
    assert operator.post(act(halfway, "judge"), {"machine": row.pk}).status_code == 422
    assert operator.post(act(halfway, "judge"), {"machine": row.pk, "serves": "yes"}).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.outcome) == (ReplacementState.DONE, Outcome.SUCCEEDED)


def test_a_retry_is_asked_for_by_one_and_agreed_to_by_another(halfway: Change, operator: Client) -> None:
    row = halfway.replacements.get(state="held")
    asked = act(halfway, "ask_retry")
    empty = operator.post(asked, {"machine": row.pk, "reason": ""})
    assert empty.status_code == 422
    assert "Say why it should be tried once more" in words(empty)
    assert operator.post(asked, {"machine": row.pk, "reason": "The call never arrived."}).status_code == 302
    assert "The call never arrived." in words(operator.get(url("change", halfway.pk)))
    reviewer = signed_in(fleets.person("reviewer"))
    assert "The call never arrived." in words(reviewer.get(act(halfway, "agree_retry")))
    early = reviewer.post(act(halfway, "agree_retry"))
    assert early.status_code == 409
    assert "An earlier call could still land" in words(early)
    long_ago = DatabaseClock().now() - timedelta(hours=1)
    Replacement.objects.filter(pk=row.pk).update(first_sent_at=long_ago)
    assert reviewer.post(act(halfway, "agree_retry")).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.epoch) == (ReplacementState.PREPARING, 2)


def test_after_a_trip_the_page_leads_to_a_fresh_approval(halfway: Change, operator: Client) -> None:
    with rules_off():
        Change.objects.filter(pk=halfway.pk).update(state="tripped", waits_for="4 machines failed; 3 may.")
    page = words(operator.get(url("change", halfway.pk)))
    assert "It stopped by itself. 4 machines failed; 3 may." in page
    assert "Next: settle 1 held machine by its cause; then ask for a fresh approval of the rest" in page
    assert operator.post(act(halfway, "ask_for_rest"), {"reason": "x"}).status_code == 409
    halfway.replacements.filter(state__in=("held", "stopping")).update(
        state="failed", outcome="failed_untouched", finished_at=DatabaseClock().now()
    )
    assert "2 machines afresh" in words(operator.get(act(halfway, "ask_for_rest")))
    assert operator.post(act(halfway, "ask_for_rest"), {"reason": " "}).status_code == 422
    assert operator.post(act(halfway, "ask_for_rest"), {"reason": "a\0b"}).status_code == 422
    assert operator.post(act(halfway, "ask_for_rest"), {"reason": "The proxy is back."}).status_code == 302
    page = words(operator.get(url("change", halfway.pk)))
    assert "The rest waits for a fresh approval: The proxy is back." in page
    assert operator.post(act(halfway, "resume_rest")).status_code == 409


def test_a_canary_that_waits_for_a_person_is_promoted(fleet: Emulator, clock: ManualClock, operator: Client) -> None:
    policy = fleets.Policy(max_in_flight=2, canary=1, hold="person")
    change = fleets.started(fleets.plain(3), fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    fleets.drive(clock)
    page = words(operator.get(url("change", change.pk)))
    assert "A person opens the rest." in page
    assert "Wave 1 opens with 2 machines; 2 of them begin at once." in words(operator.get(act(change, "promote")))
    assert operator.post(act(change, "promote")).status_code == 302
    fleets.drive(clock)
    assert "All 3 machines have a new system disk" in words(operator.get(url("change", change.pk)))


def test_a_canary_that_is_held_by_its_timer_counts_down(fleet: Emulator, clock: ManualClock, operator: Client) -> None:
    policy = fleets.Policy(max_in_flight=2, canary=1, hold="timed", hold_minutes=60)
    change = fleets.started(fleets.plain(3), fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    held = Change.objects.filter(pk=change.pk, hold_until__isnull=False)
    fleets.drive(clock, until=held.exists)
    page = words(operator.get(url("change", change.pk)))
    assert "The canary has ended. The rest begins by itself" in page
    assert re.search(r"the rest opens in \d+ min", page)
    assert operator.post(act(change, "promote")).status_code == 302


@pytest.mark.parametrize("name", ["pause", "cancel", "look_again"])
def test_a_reviewer_gets_no_buttons_and_a_403_on_the_trail(halfway: Change, name: str) -> None:
    reviewer = signed_in(fleets.person("reviewer"))
    page = reviewer.get(url("change", halfway.pk)).text
    assert act(halfway, name) not in page
    assert "Ask an administrator" in words(reviewer.get(act(halfway, name), {"machine": held_of(halfway)}))
    answer = reviewer.post(act(halfway, name), {"machine": held_of(halfway)})
    assert answer.status_code == 403
    assert "This needs the role operator for all of its machines" in answer.text
    assert AuditEvent.objects.filter(action="person.refused", actor_name="reviewer").count() == 1


def held_of(change: Change) -> int:
    return change.replacements.get(state="held").pk


def test_what_is_no_act_or_no_machine_of_this_change_is_not_found(halfway: Change, operator: Client) -> None:
    assert operator.get(act(halfway, "explode")).status_code == 404
    assert operator.get(act(halfway, "give_up"), {"machine": "999999"}).status_code == 404
    assert operator.get(act(halfway, "give_up"), {"machine": "x"}).status_code == 404
    assert operator.post(act(halfway, "give_up"), {"cluster": "\x00"}).status_code == 409
    assert operator.get(act(halfway, "withdraw_retry"), {"retry": ""}).status_code == 409


def test_a_refusal_in_a_dialog_is_said_beside_it(halfway: Change, operator: Client) -> None:
    answer = operator.post(act(halfway, "look_again"), {"cluster": "gone"}, headers=HTMX)
    assert (answer.status_code, answer["HX-Reswap"]) == (409, "none")
    assert "moved on meanwhile" in answer["HX-Trigger"]
    done = operator.post(act(halfway, "pause"), headers=HTMX)
    assert (done.status_code, done["HX-Redirect"]) == (204, url("change", halfway.pk))


def test_from_a_real_stop_over_a_fresh_approval_to_the_end(
    fleet: Emulator, clock: ManualClock, operator: Client
) -> None:
    machines = fleets.plain(3)
    policy = fleets.Policy(max_in_flight=1, failures_allowed=0)
    change = fleets.started(machines, fleets.image_named("Ubuntu 24.04"), clock, policy=policy)
    fleet.patch_instance(machines[0].instance_id, unpaid_order=True)  # no Describe call shows it
    fleets.drive(clock)
    page = words(operator.get(url("change", change.pk)))
    assert "It stopped by itself. 1 machine failed; none may." in page
    assert "repair the cause, then ask for a fresh approval of 2 machines" in page
    assert "An order is not paid" in page
    assert operator.post(act(change, "ask_for_rest"), {"reason": "Paid."}).status_code == 302
    change.refresh_from_db()
    fleets.approve(change, clock)
    page = words(operator.get(url("change", change.pk)))
    assert "The rest is approved afresh: 2 machines." in page
    assert "1 machine begins at once, 1 wait" in words(operator.get(act(change, "resume_rest")))
    assert operator.post(act(change, "resume_rest")).status_code == 302
    fleets.drive(clock)
    assert "2 of 3 machines have a new system disk" in words(operator.get(url("change", change.pk)))
