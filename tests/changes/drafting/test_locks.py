"""Machine locks as use cases: whose they are, when they are over, who releases them."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from fleet.changes.drafting import locks
from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.lib.refused import Refused
from fleet.models import AuditEvent, Grant, Instance, MachineLock, Role, User
from tests.support.people import account, machine, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(DatabaseClock().now())


@pytest.fixture
def machines() -> list[Instance]:
    prod = account()
    return [machine(prod, 1), machine(prod, 2), machine(prod, 3, environment="dev")]


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


def lock(actor: User, machines: list[Instance], clock: ManualClock, hours: int = 0) -> locks.Locked:
    until = clock.now() + timedelta(hours=hours) if hours else None
    pks = [one.pk for one in machines]
    return locks.lock(actor=actor, instance_pks=pks, reason="because", expires_at=until, now=clock.now())


def test_a_lock_that_holds_stays_as_it_is_and_an_expired_one_is_over(
    operator: User, machines: list[Instance], clock: ManualClock
) -> None:
    other = person("other", Role.ADMIN)
    assert lock(operator, machines[:1], clock, hours=1) == locks.Locked(1, 0)
    assert lock(other, machines[:2], clock) == locks.Locked(1, 1)
    clock.advance(3601)
    assert list(MachineLock.objects.in_force(clock.now()).values_list("instance_id", "owner__username")) == [
        (machines[1].pk, "other")
    ]
    assert lock(other, machines[:1], clock) == locks.Locked(1, 0)
    with pytest.raises(Refused, match="locked already") as refused:
        lock(operator, machines[:2], clock)
    assert refused.value.kind == "moved"
    assert MachineLock.objects.filter(instance=machines[0]).count() == 2


def test_one_lock_a_machine_is_kept_by_the_database(
    operator: User, machines: list[Instance], clock: ManualClock
) -> None:
    lock(operator, machines[:1], clock)
    with pytest.raises(IntegrityError, match="one_lock_a_machine"), transaction.atomic():
        MachineLock.objects.create(instance=machines[0], owner=operator, reason="again", at=clock.now())


def test_a_role_counts_for_every_machine_or_none_is_locked(machines: list[Instance], clock: ManualClock) -> None:
    dev = person("dev", Role.OPERATOR, environment="dev")
    with pytest.raises(Refused) as refused:
        lock(dev, machines, clock)
    assert refused.value.kind == "forbidden"
    assert not MachineLock.objects.exists()
    assert lock(dev, machines[2:], clock).locked == 1
    with pytest.raises(Refused):
        lock(person("approver", Role.APPROVER, Role.AUDITOR, Role.VIEWER), machines, clock)


def test_owners_release_their_own_and_administrators_any(
    operator: User, machines: list[Instance], clock: ManualClock
) -> None:
    other, admin = person("other", Role.OPERATOR), person("admin", Role.ADMIN)
    lock(operator, machines[:1], clock)
    lock(other, machines[1:], clock)
    pks = [one.pk for one in machines]
    with pytest.raises(Refused, match="2 locks belong to other") as refused:
        locks.release(actor=operator, instance_pks=pks, now=clock.now())
    assert refused.value.kind == "forbidden"
    assert MachineLock.objects.in_force(clock.now()).count() == 3
    assert locks.release(actor=operator, instance_pks=pks[:1], now=clock.now()) == 1
    assert locks.release(actor=admin, instance_pks=pks, now=clock.now()) == 2
    with pytest.raises(Refused, match="None of these machines is locked any more"):
        locks.release(actor=admin, instance_pks=pks, now=clock.now())


def test_each_lock_and_release_is_on_the_trail_of_its_machine(
    operator: User, machines: list[Instance], clock: ManualClock
) -> None:
    lock(operator, machines, clock)
    locks.release(actor=operator, instance_pks=[machines[0].pk], now=clock.now())
    rows = AuditEvent.objects.order_by("number").values_list("action", "instance_id", "actor_name")
    assert list(rows) == [
        *(("machine.locked", one.pk, "operator") for one in machines),
        ("machine.released", machines[0].pk, "operator"),
    ]


@pytest.mark.parametrize(("reason", "hours", "field"), [(" ", 1, "reason"), ("why", -1, "expires_at")])
def test_a_lock_has_a_reason_and_an_end_to_come(
    operator: User, machines: list[Instance], clock: ManualClock, reason: str, hours: int, field: str
) -> None:
    until = clock.now() + timedelta(hours=hours)
    with pytest.raises(Refused) as refused:
        locks.lock(actor=operator, instance_pks=[machines[0].pk], reason=reason, expires_at=until, now=clock.now())
    assert (refused.value.kind, refused.value.field) == ("wrong", field)


@pytest.mark.parametrize("pks", [[], [10**9]])
def test_no_machine_is_refused_and_never_means_all(operator: User, pks: list[int], clock: ManualClock) -> None:
    for act in (
        lambda: locks.release(actor=operator, instance_pks=pks, now=clock.now()),
        lambda: locks.lock(actor=operator, instance_pks=pks, reason="x", expires_at=None, now=clock.now()),
    ):
        with pytest.raises(Refused, match="No machine is selected"):
            act()


def test_another_role_in_each_account_locks_machines_of_both(clock: ManualClock) -> None:
    here, there, elsewhere = account("here"), account("there"), account("elsewhere")
    both = person("both", Role.OPERATOR, account=here)
    Grant.objects.create(user=both, role=Role.ADMIN, account=there)
    Grant.objects.create(user=both, role=Role.APPROVER, account=elsewhere)
    two = [machine(here, 1), machine(there, 2)]
    with pytest.raises(Refused, match="needs the role operator or admin"):
        lock(both, [*two, machine(elsewhere, 3)], clock)
    assert lock(both, two, clock) == locks.Locked(2, 0)
