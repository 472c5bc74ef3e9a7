"""Selecting machines: a selection stays what the screen shows, and a draft lists what of it is left out, and why."""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from fleet.changes.drafting.drafts import MOST_MACHINES, create_draft
from fleet.changes.drafting.omissions import Omission
from fleet.changes.judging.machine import words_of_lock
from fleet.inventory.queries import OneOf
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Change, Grant, Instance, MachineLock, Role, Selection, Target, User

KEPT = timedelta(days=1)  # how long a selection lives after it was last touched


@dataclass(frozen=True, slots=True)
class SelectionRequest:
    """What one request does to a selection: of the machines `shown` on its page, those `ticked` are selected and no others.

    Then the machines `add` are added, or the selection is cleared. `omissions` are kept with it, for the draft to list.
    """

    shown: frozenset[int] = frozenset()
    ticked: frozenset[int] = frozenset()
    add: frozenset[int] = frozenset()
    clear: bool = False
    omissions: tuple[Omission, ...] = ()


@dataclass(frozen=True, slots=True)
class SelectionResult:
    """A selection before and after a request, as primary keys of machines, and what was pasted and is not in it."""

    before: frozenset[int] = frozenset()
    after: frozenset[int] = frozenset()
    omissions: tuple[Omission, ...] = ()


@transaction.atomic
def update_selection(
    *, owner: User, selection: uuid.UUID, asked: SelectionRequest, visible: QuerySet[Instance], now: datetime
) -> SelectionResult:
    """Change a selection as asked, under a lock, and return what it was and what it is.

    Machines that the page did not show stay as they are; those that are added must be among `visible`. As long as a selection
    is empty it has no row. Refused: more machines than a change takes, somebody else's selection.
    """
    row = Selection.objects.select_for_update().filter(pk=selection).first()
    if row and row.owner_id != owner.pk:
        raise Refused(
            "This selection is somebody else's. Open the page Instances anew and tick there.", kind="forbidden"
        )
    row = row or Selection(pk=selection, owner=owner)
    before, known = frozenset(row.instances), {packed[0]: packed for packed in row.misses}
    added = (asked.ticked & asked.shown | asked.add) - before
    if added:
        added = frozenset(visible.filter(OneOf("pk", added)).values_list("pk", flat=True))
    after = frozenset() if asked.clear else (before - (asked.shown - asked.ticked)) | added
    new = {omission.named: _packed(omission) for omission in asked.omissions}
    omissions = [] if asked.clear else [*(known | new).values()]
    if len(after) > MOST_MACHINES:
        raise Refused(
            f"{count(len(after), 'machine')} would be selected, and a change holds at most {MOST_MACHINES:,}."
            f" Nothing was added. Narrow the filter, or take some out."
        )
    if after != before or omissions != row.misses:
        if row.touched_at is None:
            delete_old_selections(now)
        row.instances, row.misses, row.touched_at = sorted(after), omissions[:MOST_MACHINES], now
        fields = ["instances", "misses", "touched_at"]
        Selection.objects.bulk_create([row], update_conflicts=True, unique_fields=["id"], update_fields=fields)
    return SelectionResult(before, after, tuple(_unpacked(row.misses)))


def _packed(omission: Omission) -> list[Any]:
    """Return an omission in the form that `Selection.misses` keeps."""
    return [omission.named[:200], omission.code, omission.reason, omission.instance.pk if omission.instance else None]


def _unpacked(packed: list[list[Any]]) -> Iterator[Omission]:
    for named, code, reason, instance in packed:
        yield Omission(code, reason, Instance(pk=instance) if instance else None, named)


def omissions_of(selection: uuid.UUID) -> list[Omission]:
    """Return what was pasted and is not in the selection."""
    found = Selection.objects.filter(pk=selection).values_list("misses", flat=True).first()
    return list(_unpacked(found or []))


def digest_of_set(pks: Iterable[int]) -> str:
    """Return 16 digits of the SHA-256 of a set of primary keys: a page sends it back, and so acts on what it showed alone."""
    return hashlib.sha256(",".join(map(str, sorted(pks))).encode()).hexdigest()[:16]


def delete_old_selections(now: datetime) -> int:
    """Delete the selections that nobody has touched for a day, and return how many."""
    return Selection.objects.filter(touched_at__lt=now - KEPT).delete()[0]


def permitted(actor: User, *roles: Role) -> "Permitted":
    """Return where the person has one of `roles`: one query."""
    grants = Grant.objects.filter(user=actor, role__in=roles).values_list("account_id", "environment")
    return Permitted(frozenset(grants))


@dataclass(frozen=True, slots=True)
class Permitted:
    """Where a person may act: pairs of account (None for all) and environment (empty for all)."""

    grants: frozenset[tuple[int | None, str]]

    def covers(self, instance: Instance) -> bool:
        accounts, environments = (None, instance.account_id), ("", instance.environment)
        return any((account, environment) in self.grants for account in accounts for environment in environments)

    def in_account(self, account: int) -> bool:
        """Say whether the person may act on some machine of the account."""
        return any(known in (None, account) for known, _ in self.grants)


def split_machines(
    *, actor: User, instance_pks: Collection[int], now: datetime, free: bool = True
) -> tuple[list[Instance], list[Omission]]:
    """Split machines into those that a draft of `actor` can take, and those that it cannot, with the reason: four queries.

    With `free`, machines that are locked or in another open change are left out too.
    """
    rows = Instance.objects.filter(OneOf("pk", instance_pks)).select_related("account").order_by("name", "pk")
    locks, busy = {}, {}
    if free:
        in_force = MachineLock.objects.in_force(now).filter(OneOf("instance", instance_pks)).select_related("owner")
        locks = {lock.instance_id: lock for lock in in_force}
        busy = dict(
            Target.objects.filter(OneOf("instance", instance_pks), open=True).values_list("instance_id", "change_id")
        )
    may = permitted(actor, Role.OPERATOR)
    wanted, omissions = [], []
    for machine in rows:
        lock = locks.get(machine.pk)
        if machine.gone_at:
            omission = Omission("gone", f"Gone from the cloud since {_day(machine.gone_at)}", machine)
        elif not may.covers(machine):
            where = f", environment {machine.environment}" if machine.environment else ""
            omission = Omission("not_permitted", f"You are no operator for account {machine.account}{where}", machine)
        elif lock:
            omission = Omission("locked", words_of_lock(lock), machine)
        elif machine.pk in busy:
            omission = Omission("open_elsewhere", f"In another open change, #{busy[machine.pk]}", machine)
        else:
            wanted.append(machine)
            continue
        omissions.append(omission)
    return wanted, omissions


def draft_selected(
    *,
    actor: User,
    instance_pks: Collection[int],
    omissions: Collection[Omission] = (),
    now: datetime,
) -> Change:
    """Make a draft of the machines that can be changed now. It lists the others, and `omissions`, as left out."""
    if not instance_pks:
        raise Refused("No machine is selected. Tick the machines whose system is to change, then press again.")
    wanted, left_out = split_machines(actor=actor, instance_pks=instance_pks, now=now)
    if not wanted:
        raise _none_left(left_out)
    return create_draft(
        actor=actor,
        instance_pks=[machine.pk for machine in wanted],
        now=now,
        omissions=[*left_out, *omissions],
    )


def _none_left(left_out: list[Omission]) -> Refused:
    kind = "forbidden" if all(omission.code == "not_permitted" for omission in left_out) else "moved"
    reasons = sorted({omission.reason for omission in left_out})
    more = f", and {count(len(reasons) - 2, 'other reason')}" if len(reasons) > 2 else ""
    return Refused(
        f"None of these machines can be changed now. {'; '.join(reasons[:2])}{more}. Select others, or wait.", kind=kind
    )


def _day(when: datetime) -> str:
    return f"{when.day} {when:%b %Y}"
