"""The use cases of a reviewer: the list of requirements decides, and each refusal says the rule and the next step."""

from datetime import timedelta

import pytest

from fleet.changes.drafting import drafts
from fleet.changes.review import deciding
from fleet.changes.review.requirements import assess, may_approve
from fleet.guards import approvals
from fleet.lib.refused import Refused
from fleet.models import Approval, Change, ChangeState, Contributor, Grant, QuorumRule, Role, User
from tests.changes.review import forms
from tests.changes.review.forms import World
from tests.support import people

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> World:
    return forms.world()


def refusal(here: World, change: Change, by: User | None = None, **given: object) -> Refused:
    with pytest.raises(Refused) as refused:
        forms.approve(here, change, by, **given)
    return refused.value


def state(change: Change) -> str:
    return Change.objects.values_list("state", flat=True).get(pk=change.pk)


def test_the_author_is_refused_with_any_role(here: World) -> None:
    change = forms.asked(here)
    Grant.objects.create(user=here.author, role=Role.APPROVER)
    here.author.is_superuser = True
    here.author.save()
    said = refusal(here, change, here.author)
    assert (said.kind, said.sentence) == (
        "forbidden",
        "You had a hand in this change; somebody who had none approves it.",
    )
    listed = {each.code: each for each in assess(change, here.author, here.now).requirements}
    assert not listed["contributed"].ok
    assert listed["contributed"].words.startswith("You wrote this change")
    assert not Approval.objects.exists()


def test_an_editor_of_an_earlier_revision_is_refused(here: World) -> None:
    change = forms.asked(here)
    Grant.objects.create(user=here.reviewer, role=Role.OPERATOR)
    deciding.withdraw(actor=here.reviewer, change_id=change.pk, now=here.now)
    forms.checked(here, Change.objects.get(pk=change.pk))
    assert refusal(here, change).kind == "forbidden"
    forms.approve(here, change, here.second)


def test_a_stale_digest_records_nothing(here: World) -> None:
    change = forms.asked(here)
    stale = change.spec_digest
    deciding.withdraw(actor=here.author, change_id=change.pk, now=here.now)
    again = Change.objects.get(pk=change.pk)
    again.disk_size = 500
    forms.checked(here, again)
    said = refusal(here, change, digest=stale)
    assert said.kind == "moved"
    assert "Nothing was approved" in said.sentence
    assert not Approval.objects.exists()
    assert state(change) == ChangeState.IN_REVIEW


def test_a_person_counts_once(here: World) -> None:
    QuorumRule.objects.create(name="Production", approvals=2, environment="prod")
    change = forms.asked(here)
    forms.approve(here, change)
    said = refusal(here, change)
    assert said.sentence == "You have approved this form already. It waits for 1 other person."
    assert state(change) == ChangeState.IN_REVIEW
    forms.approve(here, change, here.second)
    assert state(change) == ChangeState.APPROVED


def test_an_approval_that_expired_counts_no_more(here: World) -> None:
    QuorumRule.objects.create(name="Production", approvals=2)
    change = forms.asked(here)
    forms.approve(here, change)
    here.clock.advance(72 * 3600)
    Change.objects.filter(pk=change.pk).update(checked_at=here.now)
    forms.approve(here, change, here.second)
    assert state(change) == ChangeState.IN_REVIEW
    assert [each.reviewer for each in deciding.valid_approvals(change, here.now)] == [here.second]


@pytest.mark.parametrize("ended", [ChangeState.REJECTED, ChangeState.EXPIRED, ChangeState.CANCELLED])
def test_what_has_ended_is_approved_by_nobody(here: World, ended: ChangeState) -> None:
    change = forms.asked(here)
    Change.objects.filter(pk=change.pk).update(state=ended)
    said = refusal(here, change)
    assert said.kind == "moved"
    assert "not in review" in said.sentence


def test_a_rejected_revision_stays_rejected(here: World) -> None:
    change = forms.asked(here)
    deciding.reject(actor=here.second, change_id=change.pk, reason="Not in June.", now=here.now)
    assert refusal(here, change).kind == "moved"
    with pytest.raises(Refused):
        deciding.withdraw(actor=here.author, change_id=change.pk, now=here.now)


def test_groups_with_warnings_are_marked_before(here: World) -> None:
    change = forms.asked(here, warned="os_family")
    said = refusal(here, change)
    assert (said.kind, said.field) == ("wrong", "seen")
    assert "1 group with warnings not marked" in said.sentence
    forms.mark_all(here, change, here.second)
    assert refusal(here, change).field == "seen"
    forms.mark_all(here, change, here.reviewer)
    found = assess(change, here.reviewer, here.now)
    assert found.may_approve
    for key in found.seen:
        deciding.unmark_seen(actor=here.reviewer, change_id=change.pk, key=key, now=here.now)
    assert refusal(here, change).field == "seen"
    forms.mark_all(here, change, here.reviewer)
    forms.approve(here, change)
    with pytest.raises(Refused, match="not in review"):
        deciding.mark_seen(actor=here.second, change_id=change.pk, key="0" * 10, now=here.now)


def test_a_mark_of_what_is_not_there_is_refused(here: World) -> None:
    change = forms.asked(here)
    with pytest.raises(Refused, match="no such group"):
        deciding.mark_seen(actor=here.reviewer, change_id=change.pk, key="0" * 10, now=here.now)
    with pytest.raises(Refused, match="no such group"):
        deciding.comment(actor=here.reviewer, change_id=change.pk, text="x", group_key="0" * 10, now=here.now)
    with pytest.raises(Refused, match="not part of the change"):
        deciding.comment(actor=here.reviewer, change_id=change.pk, text="x", instance_pk=0, now=here.now)


def test_a_check_of_yesterday_is_made_again(here: World) -> None:
    change = forms.asked(here)
    here.clock.advance(24 * 3600)
    said = refusal(here, change)
    assert said.kind == "moved"
    assert "submit it again" in said.sentence


def test_the_list_and_the_server_agree_for_each_person(here: World) -> None:
    QuorumRule.objects.create(name="Two", approvals=2)
    viewer = people.person("viewer", Role.VIEWER)
    change = forms.asked(here, warned="os_family")
    forms.mark_all(here, change, here.reviewer)
    forms.mark_all(here, change, here.second)
    forms.approve(here, change)
    for person, may in ((here.author, False), (viewer, False), (here.reviewer, False), (here.second, True)):
        found = assess(change, person, here.now).requirements
        assert may_approve(found) == may
        if may:
            forms.approve(here, change, person)
        else:
            refusal(here, change, person)


def test_the_list_costs_the_same_for_ten_and_for_many(here: World, django_assert_max_num_queries: object) -> None:
    change = forms.asked(here)
    with django_assert_max_num_queries(9):  # type: ignore[operator]
        assess(change, here.reviewer, here.now)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"machines_at_least": 4}, True),
        ({"machines_at_least": 5}, False),
        ({"environment": "prod"}, True),
        ({"environment": "lab"}, False),
        ({"os_family_change": True}, True),
        ({"without_snapshot": True}, True),
        ({"machines_at_least": 4, "environment": "lab"}, False),
        ({"machines_at_least": 4, "environment": "prod", "os_family_change": True, "without_snapshot": True}, True),
        ({"active": False}, False),
    ],
)
def test_a_rule_fits_where_all_of_its_conditions_hold(here: World, rule: dict[str, object], fits: bool) -> None:
    QuorumRule.objects.create(name="Least", approvals=1)
    QuorumRule.objects.create(name="Rule", approvals=3, **rule)
    change = forms.asked(here, warned="os_family")
    assert (change.approvals_needed, change.quorum_reasons) == ((3, ["Rule"]) if fits else (1, []))


def test_a_rule_about_snapshots_and_one_about_another_account(here: World) -> None:
    QuorumRule.objects.create(name="Bare", approvals=2, without_snapshot=True)
    QuorumRule.objects.create(name="Other", approvals=2, account=people.account("lab"))
    assert approvals.rules_for(forms.asked(here, snapshot_days=7)) == []


def test_without_a_rule_it_is_one(here: World) -> None:
    assert forms.asked(here).approvals_needed == 1


def test_start_asks_for_all_of_it_again(here: World) -> None:
    QuorumRule.objects.create(name="Two", approvals=2)
    change = forms.asked(here)
    with pytest.raises(Refused, match="not approved"):
        forms.start(here, change)
    forms.approve(here, change)
    with pytest.raises(Refused, match="not approved"):
        forms.start(here, change)
    forms.approve(here, change, here.second)
    with pytest.raises(Refused, match="no longer a draft"):
        drafts.discard(actor=here.author, change_id=change.pk, now=here.now)
    # Somebody turns out to have had a hand in it: what is left is too few.
    Contributor.objects.create(change=change, revision=1, user=here.second)
    with pytest.raises(Refused, match="not approved in this form"):
        forms.start(here, change)
    assert state(change) == ChangeState.APPROVED


def test_an_approval_ends_with_the_hours_of_the_change(here: World) -> None:
    change = forms.asked(here, not_after=here.now + timedelta(hours=30))
    forms.approve(here, change)
    change.refresh_from_db()
    assert change.approved_until == change.not_after
    assert deciding.expire_approvals(here.now) == 0
    here.clock.advance(30 * 3600)
    with pytest.raises(Refused):
        forms.start(here, change)
    assert deciding.expire_approvals(here.now) == 1
    assert state(change) == ChangeState.EXPIRED
    assert not change.targets.filter(open=True).exists()
