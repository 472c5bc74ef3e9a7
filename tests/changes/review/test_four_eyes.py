"""Four eyes: who may approve what, at the use case and in the database itself."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from fleet.changes.drafting import drafts
from fleet.changes.review import deciding
from fleet.changes.running import controls
from fleet.lib.clock import ManualClock
from fleet.lib.refused import Refused
from fleet.models import Approval, AuditEvent, Change, ChangeState, Contributor, Grant, Role, Target
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.support.rules import rules_off

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def change(fleet: Emulator, clock: ManualClock) -> Change:
    return fleets.in_review(fleets.plain(3), fleets.image_named("Ubuntu 24.04"), clock)


def approve(
    change: Change, clock: ManualClock, *, by: str = "reviewer", digest: str = "", confirmed: str = "3"
) -> Change:
    if by == "reviewer" and change.state == ChangeState.IN_REVIEW and not change.contributors.filter(user__username=by):
        fleets.mark_all(change, clock, by=by)
    return deciding.approve(
        actor=fleets.person(by),
        change_id=change.pk,
        digest=digest or change.spec_digest,
        confirmed=confirmed,
        now=clock.now(),
    )


def test_one_approval_by_somebody_without_a_hand_in_it_is_enough(change: Change, clock: ManualClock) -> None:
    approve(change, clock)
    change.refresh_from_db()
    assert change.state == ChangeState.APPROVED
    assert change.approved_until == clock.now() + timedelta(hours=72)
    assert set(Approval.objects.get().leaves) == set(change.targets.values_list("leaf_digest", flat=True))


def test_the_author_is_refused_even_as_an_approver(change: Change, clock: ManualClock) -> None:
    Grant.objects.create(user=fleets.person("operator"), role=Role.APPROVER)
    with pytest.raises(Refused, match="had a hand") as refusal:
        approve(change, clock, by="operator")
    assert refusal.value.kind == "forbidden"
    assert not Approval.objects.exists()


def test_an_editor_is_refused_also_in_a_later_revision(change: Change, clock: ManualClock) -> None:
    reviewer = fleets.person("reviewer")
    Grant.objects.create(user=reviewer, role=Role.OPERATOR)
    deciding.withdraw(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    image = fleets.image_named("Ubuntu 24.04")
    drafts.edit_draft(
        actor=reviewer, change_id=change.pk, settings=fleets.settings(image, title="Other"), now=clock.now()
    )
    drafts.submit(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    fleets.check_all(clock)
    change.refresh_from_db()
    with pytest.raises(Refused, match="had a hand"):
        approve(change, clock)


@pytest.mark.parametrize("by", ["operator", "auditor", "admin"])
def test_who_is_no_approver_is_refused(change: Change, clock: ManualClock, by: str) -> None:
    with pytest.raises(Refused) as refusal:
        approve(change, clock, by=by)
    assert refusal.value.kind == "forbidden"


def test_an_approver_of_another_environment_is_refused(change: Change, clock: ManualClock) -> None:
    Grant.objects.filter(user=fleets.person("reviewer")).update(environment="staging")
    with pytest.raises(Refused, match="role approver"):
        approve(change, clock)


def test_a_stale_digest_is_refused(change: Change, clock: ManualClock) -> None:
    with pytest.raises(Refused, match="The plan moved") as refusal:
        approve(change, clock, digest="0" * 64)
    assert refusal.value.kind == "moved"


@pytest.mark.parametrize("confirmed", ["", "2", "30", "three", "3.0"])
def test_a_wrong_count_is_refused(change: Change, clock: ManualClock, confirmed: str) -> None:
    with pytest.raises(Refused, match="Type 3") as refusal:
        approve(change, clock, confirmed=confirmed)
    assert refusal.value.field == "confirm"


def test_the_database_refuses_an_author_whatever_code_asks(change: Change, clock: ManualClock) -> None:
    with pytest.raises(DatabaseError, match="had a hand"), transaction.atomic():
        _insert(change, "operator", clock)


def test_the_database_refuses_a_contributor_even_a_superuser(change: Change, clock: ManualClock) -> None:
    admin = fleets.person("admin")
    admin.is_superuser = True
    admin.save()
    Contributor.objects.create(change=change, revision=change.revision, user=admin)
    with pytest.raises(DatabaseError, match="had a hand"), transaction.atomic():
        _insert(change, "admin", clock)


def test_the_database_refuses_another_digest_and_another_state(change: Change, clock: ManualClock) -> None:
    with pytest.raises(DatabaseError, match="not in review in this form"), transaction.atomic():
        _insert(change, "reviewer", clock, spec_digest="0" * 64)
    Change.objects.filter(pk=change.pk).update(state=ChangeState.REJECTED)
    with pytest.raises(DatabaseError, match="not in review in this form"), transaction.atomic():
        _insert(change, "reviewer", clock)


def test_an_approval_can_be_voided_and_nothing_else(change: Change, clock: ManualClock) -> None:
    approve(change, clock)
    with pytest.raises(DatabaseError, match="can be voided"), transaction.atomic():
        Approval.objects.update(leaves=[])
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Approval.objects.all().delete()
    Approval.objects.update(voided_at=clock.now(), void_reason="test")
    with pytest.raises(DatabaseError, match="can be voided"), transaction.atomic():
        Approval.objects.update(voided_at=None)


def test_taking_it_back_voids_the_approval_and_frees_the_machines(change: Change, clock: ManualClock) -> None:
    approve(change, clock)
    deciding.withdraw(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    change.refresh_from_db()
    assert (change.state, change.revision) == (ChangeState.DRAFT, 2)
    assert Approval.objects.get().voided_at
    assert not Target.objects.filter(open=True).exists()


def test_start_needs_an_approval_that_still_holds(change: Change, clock: ManualClock) -> None:
    with pytest.raises(Refused, match="not approved"):
        controls.start(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    approve(change, clock)
    clock.advance(72 * 3600 + 1)
    with pytest.raises(Refused, match="expired"):
        controls.start(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    assert deciding.expire_approvals(clock.now()) == 1
    change.refresh_from_db()
    assert change.state == ChangeState.EXPIRED
    assert not Target.objects.filter(open=True).exists()


def test_start_refuses_a_plan_that_was_changed_behind_the_approval(change: Change, clock: ManualClock) -> None:
    approve(change, clock)
    with pytest.raises(DatabaseError, match="only while it is a draft"), transaction.atomic():
        Change.objects.filter(pk=change.pk).update(disk_size=500)
    with rules_off():
        Change.objects.filter(pk=change.pk).update(disk_size=500)
    with pytest.raises(Refused, match="not approved in this form"):
        controls.start(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())


def test_start_refuses_a_machine_that_was_not_approved(change: Change, clock: ManualClock) -> None:
    approve(change, clock)
    target = change.targets.all()[0]
    target.seen["disk_id"] = "d-another"
    with pytest.raises(DatabaseError, match="only until it is in review"), transaction.atomic():
        target.save()
    with rules_off():
        target.save()
    with pytest.raises(Refused, match="not the approved ones"):
        controls.start(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())


def test_removing_a_machine_keeps_the_approval(change: Change, clock: ManualClock) -> None:
    approve(change, clock)
    change.targets.all()[0].delete()
    controls.start(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    assert change.replacements.count() == 2


def test_an_account_in_observe_changes_nothing(change: Change, clock: ManualClock) -> None:
    approve(change, clock)
    account = change.targets.all()[0].instance.account
    account.executes = False
    account.save()
    with pytest.raises(Refused, match="in observe"):
        controls.start(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())


def test_asking_for_changes_and_rejecting_need_a_reason(change: Change, clock: ManualClock) -> None:
    reviewer = fleets.person("reviewer")
    with pytest.raises(Refused, match="No reason"):
        deciding.reject(actor=reviewer, change_id=change.pk, reason="  ", now=clock.now())
    deciding.return_to_draft(actor=reviewer, change_id=change.pk, reason="Fewer machines first.", now=clock.now())
    change.refresh_from_db()
    assert (change.state, change.revision) == (ChangeState.DRAFT, 2)
    assert AuditEvent.objects.filter(action="change.returned", data__reason="Fewer machines first.").exists()


def test_a_rejected_change_is_over(change: Change, clock: ManualClock) -> None:
    deciding.reject(actor=fleets.person("reviewer"), change_id=change.pk, reason="Not in December.", now=clock.now())
    with pytest.raises(Refused):
        approve(change, clock)
    assert not Target.objects.filter(open=True).exists()


def _insert(change: Change, by: str, clock: ManualClock, **given: object) -> None:
    fields = {
        "change": change,
        "revision": change.revision,
        "reviewer": fleets.person(by),
        "decision": "approve",
        "spec_digest": change.spec_digest,
        "at": clock.now(),
    }
    Approval.objects.create(**(fields | given))
