"""What an approval signs: the digests change for every change of anything that matters, and for nothing else."""

import copy
import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from django.db.models import Model
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.changes.checking import seen_of
from fleet.changes.digests import leaf_digest, spec_digest
from fleet.guards.policy import GROWTHS, HOLDS, Policy, PolicyStep
from fleet.inventory.reading import Reading
from fleet.models import Account, Change, ChangeState, Instance, Login, SealedSecret, Target

# Every column of a change and of a target is in one of two sets; a new one fails here until somebody decides.
SIGNED = {
    "id", "image_id", "images", "disk_size", "login", "key_pair", "secret_id", "security_enhancement", "snapshot_days",
    "policy", "calendar_id", "not_before", "not_after",
}  # fmt: skip
NOT_SIGNED = {
    # Words for people.
    "title", "reason", "ticket", "rollback_plan", "check_note", "quorum_reasons", "waits_for",
    # Where it came from, who moved it and when.
    "author_id", "copied_from_id", "undoes_id", "created_at", "edited_at", "submitted_at", "checked_at", "started_at",
    "started_by_id", "finished_at", "aborted_at", "start_at", "scheduled_by_id",
    # An approval bears these beside the digest.
    "revision", "round", "approvals_needed", "approved_until", "spec_digest",
    # How far it has come.
    "state", "checked", "due_at", "lease", "claims", "wave", "wave_opened_at", "hold_until", "holds_for_person",
    "failures_forgiven", "skips_forgiven",
}  # fmt: skip
SIGNED_OF_TARGET = {"instance_id", "seen", "snapshot_id"}
NOT_SIGNED_OF_TARGET = {
    "id",
    # The spec names the change.
    "change_id", "position", "why", "findings", "open", "leaf_digest",
}  # fmt: skip
SEEN = {
    "disk_id", "image_id", "disk_size", "disk_category", "key_pair", "snapshot_policy", "disk_tags", "status",
}  # fmt: skip
NOT_SEEN = {
    # The leaf names the machine itself.
    "instance",
    # Looked at afresh before the call, and no part of what is lost or put back.
    "exists", "read_at", "stopped_mode", "locks", "tags", "disk_image_id", "disk_created_at", "disk_locks",
    "delete_auto_snapshot", "snapshot_running", "disk_status",
}  # fmt: skip

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
numbers = st.integers(0, 10_000)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
zones = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))
secrets = st.none() | st.builds(
    SealedSecret, id=st.integers(1, 9).map(lambda n: UUID(int=n)), fingerprint=st.sampled_from(["aa", "bb"])
)
mappings = st.dictionaries(
    st.sampled_from(["1/cn-hangzhou", "1/cn-beijing", "2/cn-hangzhou"]),
    st.tuples(st.sampled_from(["m-1", "m-2"]), st.just("same")).map(list),
)
steps = st.none() | st.builds(
    PolicyStep,
    kind=st.sampled_from(["command", "webhook"]),
    text=texts,
    webhook=st.none() | numbers,
    timeout=st.integers(1, 9999),
)
policy_fields: dict[str, st.SearchStrategy[Any]] = {
    "max_in_flight": numbers,
    "failures_allowed": numbers,
    "skips_allowed": st.none() | numbers,
    "canary": numbers,
    "canary_failures": numbers,
    "hold": st.sampled_from(HOLDS),
    "hold_minutes": numbers,
    "growth": st.sampled_from(GROWTHS),
    "wave_size": numbers,
    "wave_failures": st.none() | numbers,
    "spread_tag": texts,
    "force_stop_minutes": numbers,
    "before": steps,
    "after": steps,
}
policies = st.builds(Policy, **policy_fields)
signed_fields: dict[str, st.SearchStrategy[Any]] = {
    "id": st.integers(1, 9),
    "image_id": texts,
    "images": mappings,
    "disk_size": st.none() | numbers,
    "login": st.sampled_from(Login.values),
    "key_pair": texts,
    "secret": secrets,
    "security_enhancement": st.booleans(),
    "snapshot_days": st.none() | numbers,
    "policy": policies.map(Policy.as_json),
    "calendar_id": st.none() | numbers,
    "not_before": st.none() | moments,
    "not_after": st.none() | moments,
}
changes = st.builds(lambda given: Change(**given), st.fixed_dictionaries(signed_fields))
unsigned_fields: dict[str, st.SearchStrategy[Any]] = {
    "title": texts,
    "reason": texts,
    "ticket": texts,
    "rollback_plan": texts,
    "check_note": texts,
    "waits_for": texts,
    "quorum_reasons": st.lists(texts),
    "state": st.sampled_from(ChangeState.values),
    "holds_for_person": st.booleans(),
    "spec_digest": texts,
}
readings = st.builds(
    Reading,
    instance=st.just(1),
    exists=st.just(True),
    read_at=moments,
    status=st.sampled_from(["Running", "Stopped"]),
    image_id=texts,
    key_pair=texts,
    disk_id=texts,
    disk_size=numbers,
    disk_category=texts,
    snapshot_policy=texts,
    disk_tags=st.dictionaries(texts, texts, max_size=3),
)


def columns(model: type[Model]) -> set[str]:
    return {field.attname for field in model._meta.concrete_fields}


def test_every_column_is_signed_or_not() -> None:
    assert columns(Change) == SIGNED | NOT_SIGNED
    assert columns(Target) == SIGNED_OF_TARGET | NOT_SIGNED_OF_TARGET
    assert {field.name for field in fields(Reading)} == SEEN | NOT_SEEN
    assert not SIGNED & NOT_SIGNED
    assert not SIGNED_OF_TARGET & NOT_SIGNED_OF_TARGET
    assert not SEEN & NOT_SEEN
    assert {name.removesuffix("_id") for name in SIGNED} == {name.removesuffix("_id") for name in signed_fields}
    assert set(policy_fields) == {field.name for field in fields(Policy)}


@settings(max_examples=600, deadline=None)
@given(change=changes, name=st.sampled_from(sorted(signed_fields)), data=st.data())
def test_another_value_of_what_is_signed_is_another_spec(change: Change, name: str, data: st.DataObject) -> None:
    other = copy.copy(change)
    value = data.draw(signed_fields[name])
    setattr(other, name, value)
    # Two passwords are told apart by row and fingerprint, two moments by the moment.
    before, after = (_seal(getattr(change, name)), _seal(value)) if name == "secret" else (getattr(change, name), value)
    assert (spec_digest(change) == spec_digest(other)) == (before == after)


def _seal(secret: SealedSecret | None) -> tuple[UUID, str] | None:
    return (secret.pk, secret.fingerprint) if secret else None


@settings(max_examples=300, deadline=None)
@given(change=changes, name=st.sampled_from(sorted(NOT_SIGNED)), data=st.data())
def test_what_is_not_signed_changes_nothing(change: Change, name: str, data: st.DataObject) -> None:
    other = copy.copy(change)
    setattr(other, name, data.draw(unsigned_fields.get(name, moments if name.endswith("_at") else numbers)))
    assert spec_digest(change) == spec_digest(other)


@settings(max_examples=300, deadline=None)
@given(policy=policies, name=st.sampled_from(sorted(policy_fields)), data=st.data())
def test_every_field_of_a_policy_counts(policy: Policy, name: str, data: st.DataObject) -> None:
    other = replace(policy, **{name: data.draw(policy_fields[name])})
    one, two = (spec_digest(Change(id=1, policy=each.as_json())) for each in (policy, other))
    assert (one == two) == (policy == other)


@settings(max_examples=200, deadline=None)
@given(change=changes, zone=zones, data=st.data())
def test_the_same_content_has_the_same_digest_however_it_is_written(
    change: Change, zone: timezone, data: st.DataObject
) -> None:
    other = copy.copy(change)
    # As PostgreSQL gives it back: keys in another order, times in another zone.
    other.policy = json.loads(json.dumps(dict(reversed(change.policy.items()))))
    other.images = dict(reversed(change.images.items()))
    other.not_before = change.not_before and change.not_before.astimezone(zone)
    assert spec_digest(change) == spec_digest(other)


def target(
    reading: Reading, *, account: int = 1, region: str = "cn-hangzhou", named: str = "i-1", **given: Any
) -> Target:
    instance = Instance(account=Account(pk=account), region=region, instance_id=named)
    return Target(instance=instance, seen=json.loads(json.dumps(seen_of(reading))), **given)


@settings(max_examples=500, deadline=None)
@given(one=readings, two=readings, name=st.sampled_from(sorted(SEEN)))
def test_another_value_of_what_was_seen_is_another_leaf(one: Reading, two: Reading, name: str) -> None:
    other = replace(one, **{name: getattr(two, name)})
    same = getattr(one, name) == getattr(two, name)
    assert (leaf_digest(target(one)) == leaf_digest(target(other))) == same


@given(reading=readings, name=st.sampled_from(sorted(NOT_SEEN - {"instance"})), value=texts)
def test_what_was_read_beside_it_changes_no_leaf(reading: Reading, name: str, value: str) -> None:
    other: dict[str, Any] = {name: value}
    assert leaf_digest(target(reading)) == leaf_digest(target(replace(reading, **other)))


@pytest.mark.parametrize("given", [{"account": 2}, {"region": "cn-beijing"}, {"named": "i-2"}, {"snapshot_id": "s-1"}])
def test_another_machine_or_another_snapshot_is_another_leaf(given: dict[str, Any]) -> None:
    reading = Reading(instance=1, exists=True, read_at=datetime(2026, 1, 1, tzinfo=UTC), disk_id="d-1")
    assert leaf_digest(target(reading)) != leaf_digest(target(reading, **given))


@pytest.mark.parametrize(
    "given", [{"position": 7}, {"why": "all that matched"}, {"findings": [["disk_grows", "warn", "x"]]}, {"open": True}]
)
def test_where_a_target_stands_in_the_list_changes_no_leaf(given: dict[str, Any]) -> None:
    reading = Reading(instance=1, exists=True, read_at=datetime(2026, 1, 1, tzinfo=UTC), disk_id="d-1")
    assert leaf_digest(target(reading)) == leaf_digest(target(reading, **given))
