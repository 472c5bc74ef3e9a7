"""Machine locks: somebody says that a machine must not be touched, until a time or until they release the lock."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from fleet.audit.trail import event, record_all
from fleet.changes.drafting.drafts import MOST_MACHINES
from fleet.guards.roles import has_any_role_over, roles_over
from fleet.inventory.queries import OneOf
from fleet.lib.refused import Refused
from fleet.lib.text import count, listed
from fleet.models import AuditEvent, Instance, MachineLock, Role, User

LOCKERS = frozenset({Role.OPERATOR, Role.ADMIN})


@dataclass(frozen=True, slots=True)
class Locked:
    """How many machines were locked, and how many had a lock already, which stays as it is."""

    locked: int
    already: int


@transaction.atomic
def lock(
    *, actor: User, instance_pks: Collection[int], reason: str, expires_at: datetime | None, now: datetime
) -> Locked:
    """Lock machines. A lock in force stays as it is, whoever owns it; one that has expired is released and a new one made.

    Refused: no reason, an end that has passed, a machine that is not in the scope of the actor as operator or administrator.
    """
    reason = reason.strip()
    if not reason:
        raise Refused("No reason is given. Say why nobody may touch these machines.", field="reason")
    if expires_at is not None and expires_at <= now:
        raise Refused("This time has passed. Enter a later one, or leave it empty.", field="expires_at")
    machines = _machines(instance_pks)
    if not has_any_role_over(actor, LOCKERS, {(machine.account_id, machine.environment) for machine in machines}):
        raise Refused("Locking needs the role operator or admin for all of these machines.", kind="forbidden")
    expired = MachineLock.objects.filter(released_at=None, instance__in=machines, expires_at__lte=now)
    expired.update(released_at=now)
    locked = set(MachineLock.objects.in_force(now).filter(instance__in=machines).values_list("instance_id", flat=True))
    free = [machine for machine in machines if machine.pk not in locked]
    if not free:
        raise Refused("These machines are locked already. Their owners can release them.", kind="moved")
    MachineLock.objects.bulk_create(
        MachineLock(instance=machine, owner=actor, reason=reason[:400], at=now, expires_at=expires_at)
        for machine in free
    )
    data = {"reason": reason[:400], "expires_at": expires_at.isoformat() if expires_at else None}
    record_all(_event("machine.locked", actor, machine, data) for machine in free)
    return Locked(len(free), len(locked))


@transaction.atomic
def release(*, actor: User, instance_pks: Collection[int], now: datetime) -> int:
    """Release the locks of these machines; return how many. An owner releases their own, an administrator any."""
    machines = _machines(instance_pks)
    locks = list(
        MachineLock.objects.in_force(now)
        .filter(instance__in=machines)
        .select_related("owner")
        .select_for_update(of=("self",))
    )
    if not locks:
        raise Refused("None of these machines is locked any more.", kind="moved")
    known = {machine.pk: machine for machine in machines}
    others = [lock for lock in locks if lock.owner_id != actor.pk]
    scopes = {(known[lock.instance_id].account_id, known[lock.instance_id].environment) for lock in others}
    if others and Role.ADMIN not in roles_over(actor, scopes):
        owners = listed(sorted({str(lock.owner) for lock in others}))
        raise Refused(
            f"{count(len(others), 'lock belongs', 'locks belong')} to {owners}. Ask them or an administrator; nothing was"
            f" released.",
            kind="forbidden",
        )
    MachineLock.objects.filter(pk__in=[lock.pk for lock in locks]).update(released_at=now, released_by=actor)
    record_all(
        _event("machine.released", actor, known[lock.instance_id], {"owner": str(lock.owner), "reason": lock.reason})
        for lock in locks
    )
    return len(locks)


def _machines(instance_pks: Collection[int]) -> list[Instance]:
    """Return the machines, their rows locked until the transaction ends: no two people can lock one machine at once."""
    if len(instance_pks) > MOST_MACHINES:
        raise Refused(f"{len(instance_pks):,} machines are too many at once. Take {MOST_MACHINES:,} or fewer.")
    rows = Instance.objects.filter(OneOf("pk", instance_pks), gone_at=None)
    found = list(rows.select_for_update(no_key=True).order_by("pk"))
    if not found:
        raise Refused("No machine is selected that is still there. Tick at least one.")
    return found


def _event(action: str, actor: User, machine: Instance, data: dict[str, Any]) -> AuditEvent:
    return event(
        action=action, subject=str(machine), actor=actor, instance=machine, account=machine.account_id, data=data
    )
