"""What the database refuses whatever code asks: each forbidden path in plain SQL or the ORM, past every use case."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from fleet.models import Change, ChangeState, Contributor, Target
from tests.changes.review import forms
from tests.changes.review.forms import World
from tests.support import people

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> World:
    return forms.world()


def refused(words: str) -> Any:
    return pytest.raises(DatabaseError, match=words)


def run(change: Change, here: World, **fields: Any) -> None:
    """Let a change run past every use case."""
    with transaction.atomic():
        Change.objects.filter(pk=change.pk).update(state=ChangeState.RUNNING, started_at=here.now, **fields)


def approved(change: Change) -> None:
    Change.objects.filter(pk=change.pk).update(state=ChangeState.APPROVED)


def test_nobody_with_a_hand_in_it_approves_superusers_included(here: World) -> None:
    change = forms.asked(here)
    here.author.is_superuser = here.author.is_staff = True
    here.author.save()
    with refused("had a hand"), transaction.atomic():
        forms.insert(here, change, here.author)
    Contributor.objects.create(change=change, revision=1, user=here.reviewer)
    with refused("had a hand"), transaction.atomic():
        forms.insert(here, change, here.reviewer)


@pytest.mark.parametrize(
    "given",
    [{"spec_digest": "0" * 64}, {"revision": 2}, {"round": 2}, {"revision": 0}],
    ids=lambda each: next(iter(each)),
)
def test_no_approval_of_another_form(here: World, given: dict[str, Any]) -> None:
    change = forms.asked(here)
    with refused("not in review in this form"), transaction.atomic():
        forms.insert(here, change, here.reviewer, **given)


@pytest.mark.parametrize("state", [ChangeState.REJECTED, ChangeState.EXPIRED, ChangeState.APPROVED, ChangeState.DRAFT])
def test_no_approval_of_what_is_not_in_review(here: World, state: ChangeState) -> None:
    change = forms.asked(here)
    moved: dict[str, Any] = {"state": state} | ({"revision": 2} if state == ChangeState.DRAFT else {})
    Change.objects.filter(pk=change.pk).update(**moved)
    change.refresh_from_db()
    with refused("not in review in this form"), transaction.atomic():
        forms.insert(here, change, here.reviewer)


def test_nobody_approves_twice(here: World) -> None:
    change = forms.asked(here)
    forms.insert(here, change, here.reviewer)
    with refused("one_approval_a_person"), transaction.atomic():
        forms.insert(here, change, here.reviewer)


def test_a_change_runs_only_with_the_approvals_that_it_needs(here: World) -> None:
    change = forms.asked(here)
    approved(change)
    with refused("approvals that it needs"):
        run(change, here)
    Change.objects.filter(pk=change.pk).update(state=ChangeState.IN_REVIEW)
    one = forms.insert(here, change, here.reviewer)
    approved(change)
    one.voided_at = here.now
    one.save()
    with refused("approvals that it needs"):
        run(change, here)


def test_two_are_two_people_and_neither_had_a_hand_in_it_later(here: World) -> None:
    change = forms.asked(here)
    with refused("settled by the check"), transaction.atomic():
        Change.objects.filter(pk=change.pk).update(approvals_needed=0)
    forms.insert(here, change, here.reviewer)
    approved(change)
    Contributor.objects.create(change=change, revision=1, user=here.reviewer)
    with refused("approvals that it needs"):
        run(change, here)


def test_an_expired_approval_starts_nothing(here: World) -> None:
    change = forms.asked(here)
    forms.insert(here, change, here.reviewer, expires_at=here.now)
    approved(change)
    with refused("approvals that it needs"):
        run(change, here)


def test_an_approval_without_an_end_starts_nothing(here: World) -> None:
    change = forms.asked(here)
    forms.insert(here, change, here.reviewer, expires_at=None)
    approved(change)
    with refused("approvals that it needs"):
        run(change, here)


def test_every_machine_is_covered_by_every_approval(here: World) -> None:
    change = forms.asked(here)
    leaves = list(change.targets.values_list("leaf_digest", flat=True))
    forms.insert(here, change, here.reviewer, leaves=leaves[1:])
    forms.insert(here, change, here.second, leaves=leaves)
    approved(change)
    with refused("does not cover every machine"):
        run(change, here)
    change.targets.get(leaf_digest=leaves[0]).delete()
    run(change, here)


def test_no_machine_never_means_all(here: World) -> None:
    change = forms.asked(here)
    forms.insert(here, change, here.reviewer)
    change.targets.all().delete()
    approved(change)
    with refused("none never means all"):
        run(change, here)


PLAN: dict[str, Any] = {
    "image_id": "other",
    "images": {"1/cn-hangzhou": ["other", "chosen"]},
    "disk_size": 500,
    "login": "password",
    "key_pair": "other",
    "security_enhancement": True,
    "snapshot_days": 3,
    "policy": {"max_in_flight": 10_000},
    "not_before": forms.NOON,
    "not_after": forms.NOON + timedelta(days=300),
    "spec_digest": "f" * 64,
    "approvals_needed": 3,
    "revision": 7,
    "round": 2,
}


@pytest.mark.parametrize("name", PLAN)
@pytest.mark.parametrize("state", [ChangeState.IN_REVIEW, ChangeState.APPROVED, ChangeState.RUNNING])
def test_the_plan_moves_only_in_a_draft(here: World, name: str, state: ChangeState) -> None:
    change = forms.asked(here)
    forms.insert(here, change, here.reviewer)
    if state != ChangeState.IN_REVIEW:
        approved(change)
    if state == ChangeState.RUNNING:
        run(change, here)
    with refused("while it is a draft|settled by the check|revision|round"), transaction.atomic():
        Change.objects.filter(pk=change.pk).update(**{name: PLAN[name]})


def test_the_author_does_not_become_somebody_else(here: World) -> None:
    change = forms.asked(here)
    with refused("only while it is a draft"), transaction.atomic():
        Change.objects.filter(pk=change.pk).update(author=here.second)
    with refused("append-only"), transaction.atomic():
        Contributor.objects.filter(change=change).delete()
    with refused("append-only"), transaction.atomic():
        Contributor.objects.filter(change=change).update(user=here.second)


def test_a_draft_again_is_another_revision(here: World) -> None:
    change = forms.asked(here)
    forms.insert(here, change, here.reviewer)
    with refused("new revision"), transaction.atomic():
        Change.objects.filter(pk=change.pk).update(state=ChangeState.DRAFT)
    Change.objects.filter(pk=change.pk).update(state=ChangeState.DRAFT, revision=2)
    Change.objects.filter(pk=change.pk).update(disk_size=500)
    change.refresh_from_db()
    forms.checked(here, change)
    approved(change)
    with refused("approvals that it needs"):
        run(change, here)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("draft", "running"),
        ("draft", "in_review"),
        ("draft", "approved"),
        ("in_review", "running"),
        ("in_review", "paused"),
        ("in_review", "tripped"),
        ("in_review", "checking"),
        ("approved", "paused"),
        ("approved", "tripped"),
        ("rejected", "in_review"),
        ("rejected", "approved"),
        ("expired", "approved"),
        ("expired", "draft"),
        ("finished", "running"),
        ("cancelled", "running"),
        ("tripped", "paused"),
        ("running", "approved"),
        ("running", "draft"),
    ],
)
def test_there_is_no_way_round_a_review(here: World, before: str, after: str) -> None:
    change = people.change(here.author, here.machines, state=before)
    with refused("does not go from|new revision"), transaction.atomic():
        Change.objects.filter(pk=change.pk).update(state=after)


@pytest.mark.parametrize("state", ["running", "paused", "tripped"])
def test_a_change_is_not_born_running(here: World, state: str) -> None:
    with refused("does not begin as"), transaction.atomic():
        Change.objects.create(author=here.author, state=state, created_at=here.now, edited_at=here.now)


def test_machines_only_leave_once_it_is_in_review(here: World) -> None:
    extra = people.machine(here.account, 99)
    change = forms.asked(here)
    with refused("until it is in review"), transaction.atomic():
        Target.objects.create(change=change, instance=extra, position=9, open=True)
    target = change.targets.all()[0]
    moved: list[dict[str, Any]] = [
        {"seen": {}},
        {"leaf_digest": "0" * 64},
        {"findings": [["os_family", "warn", "x"]]},
        {"instance": extra},
        {"snapshot_id": "s-1"},
    ]
    for fields in moved:
        with refused("until it is in review"), transaction.atomic():
            Target.objects.filter(pk=target.pk).update(**fields)
    Target.objects.filter(pk=target.pk).update(open=False)
    target.delete()
    forms.insert(here, change, here.reviewer)
    approved(change)
    change.targets.all()[0].delete()
    run(change, here)
    with refused("before it runs, or never"), transaction.atomic():
        change.targets.all()[0].delete()


def test_the_rest_of_a_stopped_change_needs_approvals_of_its_own_round(here: World) -> None:
    change = forms.asked(here)
    forms.insert(here, change, here.reviewer)
    approved(change)
    run(change, here)
    Change.objects.filter(pk=change.pk).update(state=ChangeState.TRIPPED)
    change.refresh_from_db()
    with refused("not in review in this form"), transaction.atomic():
        forms.insert(here, change, here.second)
    Change.objects.filter(pk=change.pk).update(round=2)
    change.refresh_from_db()
    with refused("approvals that it needs"):
        run(change, here)
    with refused("had a hand"), transaction.atomic():
        forms.insert(here, change, here.author)
    done, *rest = change.targets.order_by("position")
    Target.objects.filter(pk=done.pk).update(open=False)
    forms.insert(here, change, here.second, leaves=[target.leaf_digest for target in rest])
    with refused("the approvals that it needs"):
        run(change, here)  # the moment is not stamped
    with refused("the approvals that it needs"):
        run(change, here, wave_opened_at=here.now + timedelta(hours=73))
    run(change, here, wave_opened_at=here.now)


def test_once_it_stopped_again_nobody_approves_before_somebody_asked(here: World) -> None:
    change = forms.asked(here)
    forms.insert(here, change, here.reviewer)
    approved(change)
    run(change, here, wave_opened_at=here.now)
    # It stopped, its rest was asked for, approved and let go on, and it stopped once more.
    Change.objects.filter(pk=change.pk).update(state=ChangeState.TRIPPED)
    Change.objects.filter(pk=change.pk).update(round=2, wave_opened_at=None)
    change.refresh_from_db()
    forms.insert(here, change, here.second)
    run(change, here, wave_opened_at=here.now)
    Change.objects.filter(pk=change.pk).update(state=ChangeState.TRIPPED)
    change.refresh_from_db()
    with refused("not in review in this form"), transaction.atomic():
        forms.insert(here, change, here.reviewer)
    Change.objects.filter(pk=change.pk).update(round=3, wave_opened_at=None)
    change.refresh_from_db()
    forms.insert(here, change, here.reviewer)
