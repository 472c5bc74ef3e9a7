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
    if not has_any_role_over(actor, LOCKERS, {(one.account_id, one.environment) for one in machines}):
        raise Refused("Locking needs the role operator or admin for all of these machines.", kind="forbidden")
    over = MachineLock.objects.filter(released_at=None, instance__in=machines, expires_at__lte=now)
    over.update(released_at=now)
    held = set(MachineLock.objects.in_force(now).filter(instance__in=machines).values_list("instance_id", flat=True))
    free = [one for one in machines if one.pk not in held]
    if not free:
        raise Refused("These machines are locked already. Their owners can release them.", kind="moved")
    made = [MachineLock(instance=one, owner=actor, reason=reason[:400], at=now, expires_at=expires_at) for one in free]
    MachineLock.objects.bulk_create(made)
    data = {"reason": reason[:400], "expires_at": expires_at.isoformat() if expires_at else None}
    record_all(_event("machine.locked", actor, one, data) for one in free)
    return Locked(len(free), len(held))


@transaction.atomic
def release(*, actor: User, instance_pks: Collection[int], now: datetime) -> int:
    """Release the locks of these machines; return how many. An owner releases their own, an administrator any."""
    machines = _machines(instance_pks)
    held = list(
        MachineLock.objects.in_force(now)
        .filter(instance__in=machines)
        .select_related("owner")
        .select_for_update(of=("self",))
    )
    if not held:
        raise Refused("None of these machines is locked any more.", kind="moved")
    known = {one.pk: one for one in machines}
    others = [one for one in held if one.owner_id != actor.pk]
    scopes = {(known[one.instance_id].account_id, known[one.instance_id].environment) for one in others}
    if others and Role.ADMIN not in roles_over(actor, scopes):
        owners = listed(sorted({str(one.owner) for one in others}))
        raise Refused(
            f"{count(len(others), 'lock belongs', 'locks belong')} to {owners}. Ask them or an administrator; nothing was"
            f" released.",
            kind="forbidden",
        )
    MachineLock.objects.filter(pk__in=[one.pk for one in held]).update(released_at=now, released_by=actor)
    record_all(
        _event("machine.released", actor, known[one.instance_id], {"owner": str(one.owner), "reason": one.reason})
        for one in held
    )
    return len(held)


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
