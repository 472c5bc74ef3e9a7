"""Choosing machines: selections that stay what the screen says, and who of them is left out of a draft, and why."""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from fleet.changes.drafting.drafts import MOST_MACHINES, create_draft
from fleet.changes.drafting.locks import words_of
from fleet.inventory.queries import OneOf
from fleet.lib.refused import Refused
from fleet.lib.text import count
from fleet.models import Change, Grant, Instance, LeftOut, MachineLock, Role, Selection, Target, User

KEPT = timedelta(days=1)  # how long a selection lives after it was last touched


@dataclass(frozen=True, slots=True)
class Omission:
    """A machine, or what was typed for one, that is meant and stays out of a draft: code and reason."""

    code: str
    reason: str
    instance: Instance | None = None
    named: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request asks of a selection: of the machines that it `shown`, those `ticked`; then `add` some, or `clear`.

    `misses` are kept besides, for the draft to list.
    """

    shown: frozenset[int] = frozenset()
    ticked: frozenset[int] = frozenset()
    add: frozenset[int] = frozenset()
    clear: bool = False
    misses: tuple[Omission, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A selection before and after a request, by primary keys, and what was pasted and is not in it."""

    before: frozenset[int] = frozenset()
    after: frozenset[int] = frozenset()
    misses: tuple[Omission, ...] = ()


@transaction.atomic
def choose(*, owner: User, selection: uuid.UUID, asked: Asked, visible: QuerySet[Instance], now: datetime) -> Chosen:
    """Change a selection as asked, under a lock, and return what it was and what it is.

    What a page did not show stays as it is; what is added must be among `visible`. An empty selection that nobody has begun
    makes no row. Refused: more machines than a change takes, somebody else's selection.
    """
    row = Selection.objects.select_for_update().filter(pk=selection).first()
    if row and row.owner_id != owner.pk:
        raise Refused(
            "This selection is somebody else's. Open the page Instances anew and tick there.", kind="forbidden"
        )
    row = row or Selection(pk=selection, owner=owner)
    before, misses = frozenset(row.instances), {miss[0]: miss for miss in row.misses}
    added = (asked.ticked & asked.shown | asked.add) - before
    if added:
        added = frozenset(visible.filter(OneOf("pk", added)).values_list("pk", flat=True))
    after = frozenset() if asked.clear else (before - (asked.shown - asked.ticked)) | added
    kept = [] if asked.clear else [*(misses | {miss.named: _packed(miss) for miss in asked.misses}).values()]
    if len(after) > MOST_MACHINES:
        raise Refused(
            f"{count(len(after), 'machine')} would be selected, and a change holds at most {MOST_MACHINES:,}."
            f" Nothing was added. Narrow the filter, or take some out."
        )
    if after != before or kept != row.misses:
        if row.touched_at is None:
            prune(now)
        row.instances, row.misses, row.touched_at = sorted(after), kept[:MOST_MACHINES], now
        fields = ["instances", "misses", "touched_at"]
        Selection.objects.bulk_create([row], update_conflicts=True, unique_fields=["id"], update_fields=fields)
    return Chosen(before, after, tuple(_unpacked(row.misses)))


def _packed(miss: Omission) -> list[Any]:
    return [miss.named[:200], miss.code, miss.reason, miss.instance.pk if miss.instance else None]


def _unpacked(misses: list[list[Any]]) -> Iterator[Omission]:
    for named, code, reason, instance in misses:
        yield Omission(code, reason, Instance(pk=instance) if instance else None, named)


def misses_of(selection: uuid.UUID) -> list[Omission]:
    """Return what was pasted and is not in a selection."""
    found = Selection.objects.filter(pk=selection).values_list("misses", flat=True).first()
    return list(_unpacked(found or []))


def seal_of(pks: Iterable[int]) -> str:
    """Return a short digest of a set of machines: a page echoes it, so that it acts on what it showed and nothing else."""
    return hashlib.sha256(",".join(map(str, sorted(pks))).encode()).hexdigest()[:16]


def prune(now: datetime) -> int:
    """Delete the selections that nobody has touched for a day; return how many."""
    return Selection.objects.filter(touched_at__lt=now - KEPT).delete()[0]


def permitted(actor: User, *roles: Role) -> "Permitted":
    """Return where the person has one of `roles` (one query)."""
    grants = Grant.objects.filter(user=actor, role__in=roles).values_list("account_id", "environment")
    return Permitted(frozenset(grants))


@dataclass(frozen=True, slots=True)
class Permitted:
    """Pairs of account (None: all) and environment (empty: all) in which a person may act."""

    grants: frozenset[tuple[int | None, str]]

    def covers(self, instance: Instance) -> bool:
        accounts, environments = (None, instance.account_id), ("", instance.environment)
        return any((account, environment) in self.grants for account in accounts for environment in environments)

    def in_account(self, account: int) -> bool:
        """Say whether the person may act on some machine of the account."""
        return any(known in (None, account) for known, _ in self.grants)


def sorted_out(
    *, actor: User, instance_pks: Collection[int], now: datetime, free: bool = True
) -> tuple[list[Instance], list[Omission]]:
    """Part machines into those that a draft of `actor` can take and those that it cannot, with the reason: four queries.

    `free` leaves out those that are locked or in another open change, too.
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
    wanted, misses = [], []
    for machine in rows:
        lock = locks.get(machine.pk)
        if machine.gone_at:
            miss = Omission("gone", f"Gone from the cloud since {_day(machine.gone_at)}", machine)
        elif not may.covers(machine):
            where = f", environment {machine.environment}" if machine.environment else ""
            miss = Omission("not_permitted", f"You are no operator for account {machine.account}{where}", machine)
        elif lock:
            miss = Omission("locked", words_of(lock), machine)
        elif machine.pk in busy:
            miss = Omission("open_elsewhere", f"In another open change, #{busy[machine.pk]}", machine)
        else:
            wanted.append(machine)
            continue
        misses.append(miss)
    return wanted, misses


def draft_of(
    *,
    actor: User,
    instance_pks: Collection[int],
    misses: Collection[Omission] = (),
    now: datetime,
    why: str = "ticked by hand",
) -> Change:
    """Make a draft of what can be changed now, and list in it the rest with the reasons, and `misses` besides."""
    if not instance_pks:
        raise Refused("No machine is selected. Tick the machines whose system is to change, then press again.")
    wanted, out = sorted_out(actor=actor, instance_pks=instance_pks, now=now)
    if not wanted:
        raise _none_left(out)
    return create_draft(
        actor=actor, instance_pks=[one.pk for one in wanted], now=now, why=why, near=left_out([*out, *misses], now)
    )


def left_out(misses: Iterable[Omission], now: datetime) -> list[LeftOut]:
    """Return rows, still without their change, of what is out of a draft."""
    return [
        LeftOut(instance=miss.instance, named=miss.named[:200], code=miss.code, reason=miss.reason[:400], at=now)
        for miss in misses
    ]


def _none_left(out: list[Omission]) -> Refused:
    kind = "forbidden" if all(miss.code == "not_permitted" for miss in out) else "moved"
    reasons = sorted({miss.reason for miss in out})
    more = f", and {count(len(reasons) - 2, 'other reason')}" if len(reasons) > 2 else ""
    return Refused(
        f"None of these machines can be changed now. {'; '.join(reasons[:2])}{more}. Select others, or wait.", kind=kind
    )


def _day(when: datetime) -> str:
    return f"{when.day} {when:%b %Y}"
