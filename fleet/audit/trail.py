"""Appending to the audit trail.

`record` is the last statement of the transaction of an act: only then does the trigger lock the head of the chain, so that
writers wait for one another no longer than a commit takes.
"""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from fleet.audit.actions import ACTIONS
from fleet.models import Account, AuditEvent, Change, Instance, User

SYSTEM = "system"


class UnknownAction(Exception):
    """The action is not in the registry: an error of the program, never of its use."""


def event(
    *,
    action: str,
    subject: str,
    actor: User | None = None,
    actor_name: str = "",
    change: Change | int | None = None,
    instance: Instance | int | None = None,
    account: Account | int | None = None,
    request_id: str = "",
    data: dict[str, Any] | None = None,
) -> AuditEvent:
    """Return an event that is not yet written; `actor` None stands for the program itself.

    `subject` is what the act was done to, in words that outlive it. Change, instance and account are rows or their primary keys.
    """
    if action not in ACTIONS:
        raise UnknownAction(action)
    return AuditEvent(
        action=action,
        subject=subject[:300],
        actor=actor,
        actor_name=actor_name or (actor.get_username() if actor else SYSTEM),
        change_id=_key(change),
        instance_id=_key(instance),
        account_id=_key(account),
        request_id=request_id,
        data=data or {},
    )


def record(**fields: Any) -> AuditEvent:
    """Append one event in the transaction that is open, with the fields of `event`."""
    written = event(**fields)
    written.save(force_insert=True)
    return written


def record_on(change: Change, action: str, actor: User | None = None, /, **data: Any) -> AuditEvent:
    """Append an act on a change in the transaction that is open; the keyword arguments are the data of the event."""
    return record(action=action, subject=str(change), actor=actor, change=change, data=data)


def record_all(events: Iterable[AuditEvent]) -> None:
    """Append many events, in this order, in the transaction that is open."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("Events belong into the transaction of their act")
    AuditEvent.objects.bulk_create(list(events))


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what an act changed, each as a pair of before and after; of something new (`before` empty) all of it."""
    if not before:
        return after
    return {name: [before[name], value] for name, value in after.items() if before[name] != value}


def _key(row: Change | Instance | Account | int | None) -> int | None:
    """Return the primary key of a row, or the key itself."""
    return row if row is None or isinstance(row, int) else row.pk
