"""The inbox: what waits, what was approved, what moved since; and the count in the navigation."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fleet.changes.permissions import Act, acts_for
from fleet.changes.review import deciding
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Approval, Change, Role, User
from tests.support.people import account, change, machine, person, signed_in
from tests.support.rules import rules_off

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def author() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def reviewer() -> User:
    return person("reviewer", Role.APPROVER)


def asked(prod: Account, author: User, number: int, **fields: Any) -> Change:
    values = {"spec_digest": "a" * 64, "checked_at": DatabaseClock().now(), "approvals_needed": 2} | fields
    return change(author, [machine(prod, number)], **values)


def approval(one: Change, by: User, **fields: Any) -> Approval:
    now = DatabaseClock().now()
    values = {"revision": one.revision, "spec_digest": one.spec_digest, "at": now} | fields
    with rules_off():
        return Approval.objects.create(
            change=one, reviewer=by, decision="approve", **({"expires_at": now + timedelta(hours=1)} | values)
        )


def lists(client: Client) -> tuple[list[int], list[tuple[int, bool, str]], list[tuple[int, str]]]:
    shown = client.get(reverse("inbox")).context
    return (
        [one.change.pk for one in shown["todo"]],
        [(one.approval.change_id, one.holds, one.words) for one in shown["given"]],
        [(look.change_id, words) for look, words in shown["moved"]],
    )


def test_what_one_has_approved_waits_for_others_and_no_longer_for_oneself(
    prod: Account, author: User, reviewer: User
) -> None:
    one, other = asked(prod, author, 1), asked(prod, author, 2)
    second = signed_in(person("second", Role.APPROVER))
    client = signed_in(reviewer)
    assert lists(client)[0] == [one.pk, other.pk]
    approval(one, reviewer)
    assert lists(client)[:2] == ([other.pk], [(one.pk, True, "it holds")])
    assert lists(second)[0] == [one.pk, other.pk]


def test_an_approval_that_no_longer_counts_is_struck_through_with_its_reason(
    prod: Account, author: User, reviewer: User
) -> None:
    now = DatabaseClock().now()
    void = asked(prod, author, 1)
    approval(void, reviewer, voided_at=now, void_reason="machines were added")
    expired = asked(prod, author, 2)
    approval(expired, reviewer, expires_at=now)
    moved = asked(prod, author, 3, revision=2)
    approval(moved, reviewer, revision=1)
    over = asked(prod, author, 4, state="finished")
    approval(over, reviewer)
    client = signed_in(reviewer)
    gone = "it no longer holds: the change moved, or the approval ran out"
    assert sorted(lists(client)[1]) == [
        (void.pk, False, "void: machines were added"),
        (expired.pk, False, gone),
        (moved.pk, False, gone),
    ]
    assert "<del>revision 1</del> void: machines were added" in client.get(reverse("inbox")).text


def test_what_moved_since_a_look_is_there_until_it_is_looked_at_again(
    prod: Account, author: User, reviewer: User
) -> None:
    one, unseen = asked(prod, author, 1), asked(prod, author, 2)
    client = signed_in(reviewer)
    client.get(reverse("change", args=[one.pk]))
    assert lists(client)[2] == []
    deciding.comment(actor=author, change_id=one.pk, text="One more thing.", now=DatabaseClock().now())
    deciding.comment(actor=author, change_id=unseen.pk, text="Nobody looked.", now=DatabaseClock().now())
    assert lists(client)[2] == [(one.pk, "1 new comment")]
    with rules_off():
        Change.objects.filter(pk=one.pk).update(revision=3)
    assert lists(client)[2] == [(one.pk, "revision 1 is now 3 and 1 new comment")]
    client.get(reverse("change-review", args=[one.pk]))
    assert lists(client)[2] == []


def test_the_rest_of_a_stopped_change_waits_for_a_fresh_approval(prod: Account, author: User, reviewer: User) -> None:
    stopped = asked(prod, author, 1, state="tripped", round=1)
    client = signed_in(reviewer)
    assert lists(client)[0] == []
    with rules_off():
        Change.objects.filter(pk=stopped.pk).update(round=2)
    assert lists(client)[0] == [stopped.pk]
    assert reverse("change-review", args=[stopped.pk]) in client.get(reverse("inbox")).text


def test_a_change_that_stopped_once_more_waits_for_nobody_until_somebody_asks(
    prod: Account, author: User, reviewer: User
) -> None:
    """Its rest was approved and let go on, and it stopped again: no fresh approval can be given, and none is asked for."""
    stopped = asked(prod, author, 1, state="tripped", round=2, wave_opened_at=DatabaseClock().now())
    client = signed_in(reviewer)
    assert lists(client)[0] == []
    assert "wait for you</span>" not in client.get(reverse("inbox")).text
    assert not stopped.is_reviewable
    assert acts_for(stopped, reviewer, DatabaseClock().now())["approve"] == Act(
        False, "It is stopped by itself, not in review.", shown=False, kind="moved"
    )


def test_the_navigation_counts_what_waits_in_one_query(
    prod: Account, author: User, reviewer: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        asked(prod, author, number)
    client = signed_in(reviewer)
    with django_assert_max_num_queries(12):
        page = client.get(reverse("inbox")).text
    assert '3<span class="vh"> wait for you</span>' in page
    assert "wait for you</span>" not in signed_in(person("auditor", Role.AUDITOR)).get(reverse("inbox")).text


def test_nothing_of_others_accounts_is_shown(prod: Account, author: User) -> None:
    one = asked(prod, author, 1)
    stranger = person("stranger", Role.APPROVER, environment="nowhere")
    approval(one, stranger)
    assert lists(signed_in(stranger)) == ([], [], [])
