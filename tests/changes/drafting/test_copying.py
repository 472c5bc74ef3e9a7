"""A change once more: what comes along, what never does, and who is left out."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import models

from fleet.changes.drafting import copying
from fleet.guards.policy import Policy
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.models import (
    AuditEvent,
    Calendar,
    Change,
    ChangeState,
    Instance,
    LeftOut,
    MachineLock,
    Role,
    SealedSecret,
    Target,
    User,
)
from tests.support.people import account, change, machine, person, signed_in

pytestmark = pytest.mark.django_db

# Everything of a change that a copy has anew.
OWN = {
    "id", "author", "state", "revision", "secret", "spec_digest", "copied_from", "created_at", "edited_at",
    "submitted_at", "checked_at", "check_note", "checked", "approvals_needed", "quorum_reasons", "round",
    "approved_until", "start_at", "scheduled_by", "started_at", "started_by", "finished_at", "aborted_at", "wave",
    "wave_opened_at",
    "hold_until", "holds_for_person", "waits_for", "failures_forgiven", "skips_forgiven", "due_at", "lease", "claims",
}  # fmt: skip


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def machines() -> list[Instance]:
    prod = account()
    return [machine(prod, 1), machine(prod, 2), machine(prod, 3, environment="dev")]


@pytest.fixture
def original(operator: User, machines: list[Instance]) -> Change:
    """A change in which nothing is as it is in a new draft."""
    now = DatabaseClock().now()
    place = f"{machines[0].account_id}/cn-hangzhou"
    return change(
        operator,
        machines,
        state="cancelled",
        reason="why",
        ticket="https://tickets.example/1",
        rollback_plan="back",
        image_id="m-1",
        images={place: ["m-2", "chosen"], "99/cn-nowhere": ["m-1", "same"]},
        disk_size=80,
        login="password",
        key_pair="ops",
        secret=SealedSecret.objects.create(kind="password", sealed="x", fingerprint="f00d"),
        security_enhancement=True,
        snapshot_days=7,
        policy=Policy(canary=1, hold="person").as_json(),
        calendar=Calendar.objects.create(name="nights", open_by_default=False),
        not_before=now + timedelta(days=1),
        not_after=now + timedelta(days=2),
    )


def copy(actor: User, of: Change, **later: Any) -> Change:
    return copying.copy_change(actor=actor, change_id=of.pk, now=DatabaseClock().now() + timedelta(**later))


def test_every_column_is_either_copied_or_the_copys_own() -> None:
    fields = {field.name for field in Change._meta.get_fields() if isinstance(field, models.Field)}
    assert fields == OWN | {*copying.CHOSEN, *copying.WINDOW, "images"}


def test_a_copy_has_the_same_settings_and_never_the_password(operator: User, original: Change) -> None:
    made = copy(operator, original)
    for name in (*copying.CHOSEN, *copying.WINDOW):
        assert getattr(made, name) == getattr(original, name), name
    assert made.images == {place: image for place, image in original.images.items() if not place.startswith("99")}
    assert (made.state, made.secret, made.copied_from) == (ChangeState.DRAFT, None, original)
    assert made.targets.count() == 3
    event = AuditEvent.objects.latest("number")
    assert (event.action, event.data) == ("change.copied", {"from": original.pk, "machines": 3, "left_out": 0})


@pytest.mark.parametrize(
    "state", [state for state in ChangeState.values if state not in ("running", "paused", "tripped")]
)
def test_any_state_can_be_copied(operator: User, machines: list[Instance], state: str) -> None:
    made = copy(operator, change(operator, machines, state=state))
    assert made.targets.count() == 3  # though the machines may be in the open change that is copied


def test_a_window_that_has_passed_stays_behind(operator: User, original: Change) -> None:
    made = copy(operator, original, days=3)
    assert (made.not_before, made.not_after, made.calendar) == (None, None, original.calendar)


def test_who_is_gone_or_not_ones_own_is_left_out_and_listed(
    operator: User, machines: list[Instance], original: Change
) -> None:
    now = DatabaseClock().now()
    Instance.objects.filter(pk=machines[0].pk).update(gone_at=now)
    MachineLock.objects.create(instance=machines[1], owner=operator, reason="locked", at=now)
    made = copy(person("prod only", Role.OPERATOR, environment="prod"), original)
    assert list(made.targets.values_list("instance_id", flat=True)) == [machines[1].pk]
    assert dict(LeftOut.objects.filter(change=made).values_list("instance_id", "code")) == {
        machines[0].pk: "gone",
        machines[2].pk: "not_permitted",
    }


def test_a_copy_of_nothing_is_refused(operator: User, machines: list[Instance], original: Change) -> None:
    with pytest.raises(Refused, match="no operator for any machine") as refused:
        copy(person("viewer", Role.VIEWER), original)
    assert refused.value.kind == "forbidden"
    Instance.objects.update(gone_at=DatabaseClock().now())
    with pytest.raises(Refused, match="None of its machines is there any more"):
        copy(operator, original)


def test_a_copy_of_an_undo_puts_back_the_same_snapshots(operator: User, machines: list[Instance]) -> None:
    before = change(operator, machines, state="cancelled")
    undo = change(operator, machines, state="draft", undoes=before)
    Target.objects.filter(change=undo, instance=machines[0]).update(snapshot_id="s-1")
    made = copy(operator, undo)
    assert made.undoes == before
    assert dict(made.targets.values_list("instance_id", "snapshot_id"))[machines[0].pk] == "s-1"
    assert made.targets.filter(snapshot_id="").count() == 2


def test_the_button_leads_to_the_copy_and_says_that_the_password_did_not_come(operator: User, original: Change) -> None:
    client = signed_in(operator)
    answer = client.post(f"/changes/{original.pk}/copy")
    made = Change.objects.latest("pk")
    assert (answer.status_code, answer["Location"]) == (302, f"/changes/{made.pk}/edit")
    said = [str(message) for message in client.get("/instances").context["messages"]]
    assert said == [f"This is a copy of #{original.pk}. The password did not come along: set one."]
    assert signed_in(person("nobody")).post(f"/changes/{original.pk}/copy").status_code == 404
    assert client.get(f"/changes/{original.pk}/copy").status_code == 405
