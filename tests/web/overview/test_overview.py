"""The overview: what waits for whom, what runs, what failed, the mirror, and the fleet by system."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from fleet.lib.clock import DatabaseClock
from fleet.models import Account, AuditEvent, Instance, RegionMirror, Replacement, Role, User
from tests.support.people import CENTOS, account, change, machine, person, replacement, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def machines(prod: Account) -> list[Instance]:
    return [machine(prod, number) for number in range(6)]


def _todo(client: Client) -> list[tuple[int, str]]:
    return [(one.change.pk, one.act) for one in client.get("/").context["todo"]]


# --- What waits.


def test_a_change_in_review_waits_for_an_approver_who_had_no_hand_in_it(
    operator: User, machines: list[Instance]
) -> None:
    made = change(operator, machines[:2])
    both = person("both", Role.OPERATOR, Role.APPROVER)
    reviewer = signed_in(person("reviewer", Role.APPROVER))
    assert _todo(reviewer) == [(made.pk, "Review")]
    assert "2 machines lose their system disk; by operator, revision 1" in reviewer.get("/").text
    assert _todo(signed_in(operator)) == []
    assert _todo(signed_in(both)) == [(made.pk, "Review")]
    made.contributors.create(revision=2, user=both)
    assert _todo(signed_in(both)) == []


def test_an_approver_of_a_part_of_its_machines_is_not_asked(operator: User, prod: Account) -> None:
    change(operator, [machine(prod, 1, environment="dev"), machine(prod, 2)])
    only_dev = change(operator, [machine(prod, 3, environment="dev")])
    assert _todo(signed_in(person("dev", Role.APPROVER, environment="dev"))) == [(only_dev.pk, "Review")]


def test_ones_own_approved_change_waits_to_be_started(operator: User, machines: list[Instance]) -> None:
    made = change(operator, machines[:1], state="approved")
    assert _todo(signed_in(operator)) == [(made.pk, "Look and start")]
    assert _todo(signed_in(person("other", Role.OPERATOR))) == []


def test_a_held_machine_waits_for_an_operator_of_it(operator: User, machines: list[Instance]) -> None:
    made = change(person("author", Role.VIEWER), machines[:2], state="running")
    replacement(made, machines[0], "held")
    assert _todo(signed_in(operator)) == [(made.pk, "Decide")]
    assert _todo(signed_in(person("elsewhere", Role.OPERATOR, environment="dev"))) == []
    assert _todo(signed_in(person("reviewer", Role.APPROVER))) == []


def test_the_bar_counts_what_the_list_shows(operator: User, machines: list[Instance]) -> None:
    change(operator, machines[:1], state="approved")
    held = change(operator, machines[1:3], state="running")
    replacement(held, machines[1], "held")
    change(person("other", Role.OPERATOR), machines[3:4])
    client = signed_in(operator)
    assert client.get("/").context["waiting"]() == len(_todo(client)) == 2


def test_nothing_to_do_says_what_would_stand_here(operator: User) -> None:
    assert "Nothing waits for you" in signed_in(operator).get("/").text


# --- What runs.


@pytest.fixture
def running(operator: User, machines: list[Instance]) -> list[Replacement]:
    made = change(operator, machines, state="running", started_at=DatabaseClock().now())
    states = [("done", "succeeded"), ("failed", "failed_untouched"), ("replacing", ""), ("held", ""), ("queued", "")]
    return [replacement(made, one, *state) for one, state in zip(machines, states, strict=False)]


def test_progress_is_in_words_and_as_lengths_of_the_bar(operator: User, running: list[Replacement]) -> None:
    text = signed_in(operator).get("/overview/now").text
    assert "<b>2</b> of 5 ended" in text
    assert "1 of 2 failures used" in text
    assert "1 of 5 succeeded, 1 failed or unknown, 1 in flight, 1 held, 1 not started" in text
    assert '<rect data-s="bad" x="20.0%" width="20.0%"/>' in text
    assert "<html" not in text


def test_the_page_asks_again_only_while_something_runs(operator: User, running: list[Replacement]) -> None:
    client = signed_in(operator)
    assert 'hx-trigger="every 3s"' in client.get("/overview/now").text
    made = running[0].change
    made.state = "finished"
    made.save()
    assert "every 3s" not in client.get("/overview/now").text


def test_what_runs_elsewhere_is_not_shown(running: list[Replacement]) -> None:
    assert "No change runs" in signed_in(person("dev", Role.VIEWER, environment="dev")).get("/overview/now").text


# --- What failed.


def test_failures_are_clustered_by_cause_and_forgotten_after_a_week(operator: User, machines: list[Instance]) -> None:
    made = change(operator, machines, state="finished")
    for one in machines[:3]:
        replacement(made, one, "failed", "failed_untouched", error_code="QuotaExceed", note="Quota used up; old intact")
    replacement(made, machines[3], "failed", "failed_replaced", note="silent one")
    replacement(made, machines[4], "done", "succeeded")
    long_ago = DatabaseClock().now() - timedelta(days=8)
    replacement(made, machines[5], "failed", "failed_diskless", finished_at=long_ago)
    context = signed_in(operator).get("/").context["failures"]
    assert [(cause["n"], cause["why"]) for cause in context["causes"]] == [
        (3, "Quota used up; old intact"),
        (1, "silent one"),
    ]
    assert (context["failed"], context["ended"]) == (4, 5)


# --- The mirror.


def test_reading_again_makes_regions_due_rings_the_worker_and_is_on_record(operator: User, prod: Account) -> None:
    answer = signed_in(operator).post("/sync")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert not RegionMirror.objects.filter(due_at=None).exists()
    assert OrmQ.objects.count() == 1
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_name, event.data) == ("mirror.asked", "operator", {"regions": 2})


def test_htmx_is_told_by_a_toast(operator: User, prod: Account) -> None:
    answer = signed_in(operator).post("/sync", headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert "toast" in answer["HX-Trigger"]


def test_a_viewer_does_not_make_the_worker_read(prod: Account) -> None:
    client = signed_in(person("viewer", Role.VIEWER))
    assert "Read again" not in client.get("/").text
    assert client.post("/sync").status_code == 403
    assert not OrmQ.objects.exists()
    assert client.get("/sync").status_code == 405


def test_each_region_tells_its_age_and_why_it_is_late(operator: User, prod: Account) -> None:
    RegionMirror.objects.filter(region="cn-shanghai").update(
        synced_at=DatabaseClock().now() - timedelta(minutes=14), note="Throttled; tries again at 23:13"
    )
    text = signed_in(operator).get("/overview/mirror").text
    assert "14 min ago" in text
    assert "Throttled; tries again at 23:13" in text


# --- The fleet.


def test_the_fleet_is_summed_by_system_with_what_is_past_first(operator: User, prod: Account) -> None:
    old = machine(prod, 1, os_name=CENTOS)
    machine(prod, 2), machine(prod, 3, region="cn-shanghai"), machine(prod, 4, gone_at=DatabaseClock().now())
    change(operator, [old])
    fleet = signed_in(operator).get("/").context["fleet"]
    assert [(one.label, one.machines, one.busy, one.state) for one in fleet["systems"]] == [
        ("CentOS 7", 1, 1, "past"),
        ("Ubuntu 24.04", 2, 0, ""),
    ]
    assert (fleet["total"], fleet["past"], fleet["supported"]) == (3, 1, 2)
    assert sum(one.width for one in fleet["systems"]) == pytest.approx(100)


def test_the_number_of_queries_does_not_grow(
    operator: User, running: list[Replacement], django_assert_max_num_queries: Any
) -> None:
    client = signed_in(operator)
    with django_assert_max_num_queries(16):
        text = client.get("/").text
    assert f'href="{reverse("change", args=[running[0].change_id])}"' in text
