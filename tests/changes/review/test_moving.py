"""What moves while people look: machines that leave, and what a reviewer is told of it at the next look."""

import pytest

from fleet.changes.review import deciding, last_seen, removing
from fleet.lib.refused import Refused
from fleet.models import AuditEvent, Change, ChangeState, Contributor, Grant, Look, QuorumRule, Role, User
from tests.changes.review import forms
from tests.changes.review.forms import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> World:
    return forms.world()


def remove(here: World, change: Change, number: int, *, by: User | None = None, reason: str = "They hold logs.") -> int:
    pks = list(change.targets.order_by("position").values_list("pk", flat=True)[:number])
    return removing.remove_machines(
        actor=by or here.author, change_id=change.pk, target_ids=pks, reason=reason, now=here.now
    )


def state(change: Change) -> str:
    return Change.objects.values_list("state", flat=True).get(pk=change.pk)


def test_removing_machines_keeps_the_approval_of_the_others(here: World) -> None:
    change = forms.asked(here)
    forms.approve(here, change)
    assert remove(here, change, 2) == 2
    assert state(change) == ChangeState.APPROVED
    assert change.left_out.filter(code="removed", reason="They hold logs.").count() == 2
    assert not change.targets.model.objects.filter(instance__in=here.machines[:2], open=True).exists()
    forms.start(here, change)
    assert change.replacements.count() == 2
    event = AuditEvent.objects.get(action="change.machines_removed")
    assert (event.data["removed"], event.data["reason"]) == (2, "They hold logs.")


def test_a_reviewer_who_removes_has_a_hand_in_it(here: World) -> None:
    change = forms.asked(here)
    forms.approve(here, change)
    remove(here, change, 1, by=here.reviewer)
    assert state(change) == ChangeState.IN_REVIEW
    assert change.approvals.get().void_reason
    assert Contributor.objects.filter(change=change, user=here.reviewer).exists()
    with pytest.raises(Refused, match="had a hand"):
        forms.approve(here, change)
    forms.approve(here, change, here.second)
    assert state(change) == ChangeState.APPROVED


def test_enough_others_keep_it_approved(here: World) -> None:
    QuorumRule.objects.create(name="Two", approvals=2)
    change = forms.asked(here)
    forms.approve(here, change)
    forms.approve(here, change, here.second)
    remove(here, change, 1)
    assert state(change) == ChangeState.APPROVED
    remove(here, change, 1, by=here.second)
    assert state(change) == ChangeState.IN_REVIEW
    assert [each.reviewer for each in deciding.valid_approvals(change, here.now)] == [here.reviewer]


def test_what_cannot_be_removed(here: World) -> None:
    change = forms.asked(here)
    with pytest.raises(Refused, match="No machine would be left"):
        remove(here, change, 4)
    with pytest.raises(Refused, match="No reason"):
        remove(here, change, 1, reason=" ")
    with pytest.raises(Refused, match="None of these"):
        remove(here, change, 0)
    Grant.objects.filter(user=here.reviewer).update(role=Role.AUDITOR)
    with pytest.raises(Refused, match="operator or approver"):
        remove(here, change, 1, by=here.reviewer)
    forms.approve(here, change, here.second)
    forms.start(here, change)
    with pytest.raises(Refused, match="while it is in review"):
        remove(here, change, 1)


def test_a_look_tells_what_moved_since(here: World) -> None:
    change = forms.asked(here)
    assert last_seen.last_look(here.reviewer, change) is None
    last_seen.remember_look(here.reviewer, change, here.now)
    seen = last_seen.last_look(here.reviewer, change)
    assert seen is not None
    assert not last_seen.moved_since(change, seen)

    deciding.comment(actor=here.author, change_id=change.pk, text="Fewer.", now=here.now)
    deciding.withdraw(actor=here.author, change_id=change.pk, now=here.now)
    again = Change.objects.get(pk=change.pk)
    again.disk_size, again.policy, again.title = 80, forms.POLICY | {"max_in_flight": 9}, "Web tier, again"
    again.targets.filter(instance=here.machines[0]).delete()
    here.machines[1].disk_id = "d-another"
    here.machines[1].save()
    forms.checked(here, again)
    moved = last_seen.moved_since(again, seen)
    assert sorted(moved.fields) == [
        ("Disk size", "the default", "80 GiB"),
        ("Machines at a time", "5", "9"),
        ("Title", "Web tier", "Web tier, again"),
    ]
    assert (moved.added, moved.removed, moved.reread, moved.comments, moved.revisions) == (0, 1, 1, 1, (1, 2))
    assert moved.removed_names == [str(here.machines[0])]
    last_seen.remember_look(here.reviewer, again, here.now)
    seen = last_seen.last_look(here.reviewer, again)
    assert seen is not None
    assert not last_seen.moved_since(again, seen)


def test_a_look_is_written_only_where_something_moved(here: World) -> None:
    change = forms.asked(here)
    last_seen.remember_look(here.reviewer, change, here.now)
    first = Look.objects.get().at
    here.clock.advance(60)
    last_seen.remember_look(here.reviewer, change, here.now, look=last_seen.last_look(here.reviewer, change))
    assert Look.objects.get().at == first
    remove(here, change, 1)
    last_seen.remember_look(here.reviewer, change, here.now, look=last_seen.last_look(here.reviewer, change))
    assert Look.objects.get().at == here.now
