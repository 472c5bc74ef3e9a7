"""What the API has nothing against, and we do: locks, other open changes, the guard, and snapshots that cannot be put back."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fleet.changes.judging.facts import Machine, machine_of
from fleet.changes.judging.images import RegionImage
from fleet.changes.judging.machine import Findings, Surroundings, judge_machine
from fleet.models import Account, MachineLock, Snapshot, User
from tests.support.contract import DISK_REQUEST, NOW, image, machine

PLACE = (1, "cn-hangzhou")
HOUR = timedelta(hours=1)
WISH_40 = replace(DISK_REQUEST, size=40)


def plain(**given: Any) -> Machine:
    return machine_of(machine(account_id=1, key_pair="ops"), now=NOW)._replace(**given)


def judged(one: Machine, *, guarded: bool = False, **around: Any) -> Findings:
    known: dict[str, Any] = {
        "now": NOW,
        "accounts": {1: Account(pk=1, edition="2018", guard_lifted=not guarded)},
        "images": {PLACE: RegionImage(image(), "same")},
        "key_pairs": frozenset({PLACE}),
        "locks": {},
        "snapshots": {},
    }
    return judge_machine(one, WISH_40, Surroundings(**(known | around)))


def lock(**given: Any) -> MachineLock:
    fields: dict[str, Any] = {"pk": 7, "owner": User(username="operator"), "reason": "A restore runs.", "at": NOW}
    return MachineLock(**(fields | given))


def snapshot(**given: Any) -> Snapshot:
    fields: dict[str, Any] = {
        "account_id": 1,
        "snapshot_id": "s-1",
        "size": 50,
        "os_type": "linux",
        "os_name": "Ubuntu 20.04 64 bit",
        "ready_at": NOW,
        "expires_at": NOW + HOUR,
    }
    return Snapshot(**(fields | given))


def refusal(findings: Findings) -> tuple[str, str]:
    assert findings.refusal is not None
    return findings.refusal.code, findings.refusal.why


def test_nothing_stands_against_a_plain_machine() -> None:
    assert judged(plain()).problems == []


def test_a_lock_blocks_and_says_whose_it_is_why_and_until_when() -> None:
    found = judged(plain(lock=7), locks={7: lock(expires_at=NOW + HOUR)})
    assert refusal(found) == ("locked", "Locked by operator until 23 Nov 2026, 13:00 UTC: A restore runs")
    assert found.refusal
    assert "Ask operator to release the lock" in found.refusal.do


def test_a_lock_without_an_end_says_none() -> None:
    assert refusal(judged(plain(lock=7), locks={7: lock()}))[1] == "Locked by operator: A restore runs"


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, 7),
        ({"expires_at": NOW + HOUR}, 7),
        ({"expires_at": NOW}, None),
        ({"expires_at": NOW - HOUR}, None),
        ({"released_at": NOW}, None),
    ],
)
def test_only_a_lock_in_force_counts(given: dict[str, Any], seen: int | None) -> None:
    assert machine_of(machine(), now=NOW, lock=lock(**given)).lock == seen


def test_another_open_change_is_named() -> None:
    assert refusal(judged(plain(elsewhere=12))) == ("open_elsewhere", "In another open change, #12")


@pytest.mark.parametrize(("allowed", "codes"), [(True, []), (False, ["guard"])])
def test_a_guarded_account_wants_the_tag(allowed: bool, codes: list[str]) -> None:
    assert [problem.code for problem in judged(plain(allowed=allowed), guarded=True).problems] == codes


def test_what_the_api_refuses_comes_first() -> None:
    found = judged(plain(status="Starting", lock=7, elsewhere=12), guarded=True, locks={7: lock()})
    codes = [problem.code for problem in found.problems]
    assert codes == ["IncorrectInstanceStatus", "open_elsewhere", "locked", "guard"]


def test_a_machine_that_is_put_back_is_judged_by_its_snapshot() -> None:
    around: dict[str, Any] = {"snapshots": {(1, "s-1"): snapshot(os_type="windows", os_name="Windows Server 2019")}}
    found = judged(plain(snapshot_id="s-1"), images={PLACE: RegionImage(None, "")}, **around)
    # The snapshot holds 50 GiB, and 40 were asked for.
    assert refusal(found)[0] == "InvalidSystemDiskSize.LessThanImageSize"
    assert found.image
    assert (found.image.os_type, found.image.architecture) == ("windows", "x86_64")


@pytest.mark.parametrize(
    ("kept", "code"),
    [
        (None, "snapshot_gone"),
        (snapshot(gone_at=NOW), "snapshot_gone"),
        (snapshot(expires_at=NOW), "snapshot_gone"),
        (snapshot(ready_at=None), "snapshot_unfinished"),
    ],
)
def test_what_cannot_be_put_back_is_blocked(kept: Snapshot | None, code: str) -> None:
    snapshots = {(1, "s-1"): kept} if kept else {}
    assert refusal(judged(plain(snapshot_id="s-1"), snapshots=snapshots))[0] == code
