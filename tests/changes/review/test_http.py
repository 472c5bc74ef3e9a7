"""Each forbidden path over HTTP: the status, the sentence, nothing recorded but the refusal itself."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from fleet.changes.review import deciding
from fleet.lib.clock import DatabaseClock
from fleet.models import Approval, AuditEvent, Change, ChangeState, Grant, QuorumRule, Role, User
from tests.changes.review import forms
from tests.changes.review.forms import World
from tests.support import people

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> World:
    made = forms.world()
    made.clock.moment = DatabaseClock().now()  # what the pages go by
    return made


def post(change: Change, by: User, name: str = "change-approve", **given: str) -> tuple[int, str]:
    client = Client()
    client.force_login(by)
    fresh = Change.objects.get(pk=change.pk)
    sent = {"digest": fresh.spec_digest, "confirm": str(fresh.targets.count()), "reason": "Because."} | given
    answer = client.post(reverse(name, args=[change.pk]), sent)
    return answer.status_code, answer.content.decode()


def told(change: Change) -> list[tuple[str, str, str]]:
    events = AuditEvent.objects.filter(action="person.refused", change=change).order_by("number")
    return [(event.actor_name, event.data["act"], event.data["kind"]) for event in events]


def test_by_who_wrote_it_superuser_or_not(here: World) -> None:
    change = forms.asked(here)
    Grant.objects.create(user=here.author, role=Role.APPROVER)
    for superuser in (False, True):
        here.author.is_superuser = superuser
        here.author.save()
        status, page = post(change, here.author)
        assert status == 403
        assert "somebody who had none approves it" in page
    assert told(change) == [("author", "approve", "forbidden")] * 2
    assert not Approval.objects.exists()


def test_by_any_contributor(here: World) -> None:
    change = forms.asked(here)
    change.contributors.create(user=here.reviewer, revision=1)
    assert post(change, here.reviewer)[0] == 403
    assert told(change) == [("reviewer", "approve", "forbidden")]


def test_without_the_role(here: World) -> None:
    change = forms.asked(here)
    viewer = people.person("viewer", Role.VIEWER)
    status, page = post(change, viewer)
    assert (status, "role approver" in page) == (403, True)
    assert told(change) == [("viewer", "approve", "forbidden")]


def test_of_a_stale_digest(here: World) -> None:
    change = forms.asked(here)
    status, page = post(change, here.reviewer, digest="0" * 64)
    assert (status, "Nothing was approved" in page) == (409, True)
    assert told(change) == [("reviewer", "approve", "moved")]
    assert not Approval.objects.exists()


def test_with_another_number(here: World) -> None:
    change = forms.asked(here)
    status, page = post(change, here.reviewer, confirm="40")
    assert (status, "Type 4 to confirm" in page) == (422, True)
    assert told(change) == [("reviewer", "approve", "wrong")]


def test_without_marking_the_warnings(here: World) -> None:
    change = forms.asked(here, warned="os_family")
    status, page = post(change, here.reviewer)
    assert (status, "not marked as seen" in page) == (422, True)
    assert not Approval.objects.exists()


def test_twice_by_one_person(here: World) -> None:
    QuorumRule.objects.create(name="Two", approvals=2)
    change = forms.asked(here)
    assert post(change, here.reviewer)[0] == 302
    status, page = post(change, here.reviewer)
    assert (status, "approved this form already" in page) == (409, True)
    assert Approval.objects.count() == 1


def test_of_a_rejected_revision(here: World) -> None:
    change = forms.asked(here)
    assert post(change, here.second, "change-reject")[0] == 302
    assert post(change, here.reviewer)[0] == 409
    assert not Approval.objects.filter(decision="approve").exists()


def test_a_start_without_an_approval(here: World) -> None:
    change = forms.asked(here)
    status, page = post(change, here.author, "change-start")
    assert (status, "not approved" in page) == (409, True)
    assert told(change) == [("author", "start", "moved")]


def test_a_start_after_the_approval_expired(here: World) -> None:
    change = forms.asked(here)
    deciding.approve(
        actor=here.reviewer,
        change_id=change.pk,
        digest=change.spec_digest,
        confirmed="4",
        now=here.now - timedelta(hours=73),
    )
    status, page = post(change, here.author, "change-start")
    assert (status, "approval has expired" in page) == (409, True)
    change.refresh_from_db()
    assert change.state == ChangeState.APPROVED
    assert not change.replacements.exists()


def test_an_edit_of_what_is_approved(here: World) -> None:
    change = forms.asked(here)
    assert post(change, here.reviewer)[0] == 302
    status, _ = post(change, here.author, "draft-submit")
    assert status == 409
    assert post(change, here.author, "change-start")[0] == 302
    change.refresh_from_db()
    assert change.state == ChangeState.RUNNING
