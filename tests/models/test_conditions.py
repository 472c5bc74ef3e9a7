"""What is asked of one row in Python and of many in SQL: both forms of a condition agree on every case there is."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from fleet.models import (
    Change,
    ChangeState,
    Grant,
    Instance,
    MachineLock,
    Outcome,
    Replacement,
    ReplacementState,
    Role,
)
from fleet.models.changes import ENDED, OPEN, REST_ASKED, REVIEWABLE, UNDER_WAY
from fleet.models.guards import lock_in_force
from fleet.models.people import EVERYWHERE
from tests.support import people
from tests.support.rules import rules_off

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AROUND_NOW = (None, NOW - timedelta(microseconds=1), NOW, NOW + timedelta(microseconds=1))


@pytest.mark.django_db
def test_a_change_is_under_way_in_both_forms_alike() -> None:
    author = people.person("author", Role.OPERATOR)
    with rules_off():
        changes = [
            Change.objects.create(author=author, state=state, created_at=NOW, edited_at=NOW) for state in ChangeState
        ]
    found = set(Change.objects.under_way().values_list("pk", flat=True))
    assert found == {change.pk for change in changes if change.is_under_way}
    assert {change.state for change in changes if change.is_under_way} == {"running", "paused", "tripped"}


@pytest.mark.django_db
def test_the_rest_was_asked_for_in_both_forms_alike() -> None:
    author = people.person("author", Role.OPERATOR)
    with rules_off():
        changes = [
            Change.objects.create(
                author=author, state=state, round=number, wave_opened_at=opened, created_at=NOW, edited_at=NOW
            )
            for state, number, opened in product(ChangeState, (1, 2, 3), (None, NOW))
        ]
    asked = {change.pk for change in changes if change.rest_asked}
    assert set(Change.objects.filter(REST_ASKED).values_list("pk", flat=True)) == asked
    assert {(each.state, each.round, each.wave_opened_at) for each in changes if each.pk in asked} == {
        ("tripped", 2, None),
        ("tripped", 3, None),
    }
    reviewable = {change.pk for change in changes if change.is_reviewable}
    assert set(Change.objects.filter(REVIEWABLE).values_list("pk", flat=True)) == reviewable
    assert reviewable == asked | {change.pk for change in changes if change.state == ChangeState.IN_REVIEW}


def test_a_change_is_open_until_it_has_ended() -> None:
    assert set(ChangeState) == OPEN | ENDED and not OPEN & ENDED
    assert UNDER_WAY < OPEN


@pytest.mark.django_db
def test_a_grant_covers_a_scope_in_all_forms_alike() -> None:
    user, accounts = people.person("somebody"), [people.account("one"), people.account("two")]
    keys, environments = [None, *(account.pk for account in accounts)], ("", "prod", "test")
    grants = [
        Grant.objects.create(user=user, role=Role.OPERATOR, account_id=key, environment=environment)
        for key, environment in product(keys, environments)
    ]
    covers = {(grant.pk, scope) for grant in grants for scope in product(keys, environments) if grant.covers(scope)}
    for scope in product(keys, environments):
        found = set(Grant.objects.covering(scope).values_list("pk", flat=True))
        assert found == {pk for pk, covered in covers if covered == scope}
    machines = [
        people.machine(account, number, environment=environment)
        for account in accounts
        for number, environment in enumerate(environments)
    ]
    for grant in grants:
        found = set(Instance.objects.filter(grant.covered()).values_list("pk", flat=True))
        assert found == {each.pk for each in machines if (grant.pk, (each.account_id, each.environment)) in covers}
    # Everywhere covers all, and a scope that says all is covered by such a grant alone.
    everywhere = next(grant for grant in grants if grant.covers(EVERYWHERE))
    assert (everywhere.account_id, everywhere.environment) == EVERYWHERE
    assert sum(grant.covers(EVERYWHERE) for grant in grants) == 1
    assert sum(everywhere.covers(scope) for scope in product(keys, environments)) == len(keys) * len(environments)


@pytest.mark.django_db
def test_a_lock_is_in_force_in_all_forms_alike() -> None:
    owner, account = people.person("owner", Role.OPERATOR), people.account()
    locks = [
        MachineLock.objects.create(
            instance=people.machine(account, number),
            owner=owner,
            reason="database migration",
            at=NOW - timedelta(days=1),
            expires_at=expires_at,
            released_at=released_at,
        )
        for number, (expires_at, released_at) in enumerate(product(AROUND_NOW, AROUND_NOW))
    ]
    in_force = {lock.pk for lock in locks if lock.is_in_force(NOW)}
    assert set(MachineLock.objects.in_force(NOW).values_list("pk", flat=True)) == in_force
    through_machines = MachineLock.objects.filter(lock_in_force(NOW, "instance__machine_locks__"))
    assert set(through_machines.values_list("pk", flat=True)) == in_force
    # Unreleased, and without an end or with one to come: the end itself is not part of it.
    assert {(lock.expires_at, lock.released_at) for lock in locks if lock.pk in in_force} == {
        (None, None),
        (NOW + timedelta(microseconds=1), None),
    }


@pytest.mark.django_db
def test_an_outcome_is_a_failure_in_both_forms_alike() -> None:
    author, account = people.person("author", Role.OPERATOR), people.account()
    machines = [people.machine(account, number) for number, _ in enumerate(["", *Outcome])]
    change = people.change(author, machines, state="running")
    for machine, outcome in zip(machines, ["", *Outcome], strict=True):
        people.replacement(change, machine, ReplacementState.DONE, outcome)
    failed = set(Replacement.objects.failed().values_list("outcome", flat=True))
    assert failed == {outcome for outcome in Outcome if outcome.is_failure}
    # Each outcome is a success, a failure, or says that nothing was tried: never two of these.
    assert {outcome for outcome in Outcome if not outcome.is_failure and not outcome.is_success} == {
        Outcome.SKIPPED_DRIFT,
        Outcome.CANCELLED,
    }
    assert not any(outcome.is_failure and outcome.is_success for outcome in Outcome)
