"""The gates: what must be so for one machine at the moment of the irreversible call. What cannot be read counts as closed."""

import logging
from datetime import datetime

from fleet.guards import calendars, kill_switch
from fleet.models import Account, Change, MachineLock, Replacement

logger = logging.getLogger(__name__)


def closed(row: Replacement, change: Change, account: Account, leaves: frozenset[str], now: datetime) -> str:
    """Return the sentence that says which gate is closed for this machine, or nothing where all are open.

    `change` and `account` were read from the database a moment before; `leaves` are the digests of the machines that every
    valid approval covers.
    """
    if not change.is_under_way:
        return f"The change is {change.get_state_display().lower()}."
    if not account.executes:
        return f"The account {account} is in observe: nothing is changed in it."
    if not account.guard_lifted and row.instance.tags.get("fleet-os") != "allowed":
        return "The machine does not carry the tag fleet-os=allowed, and this account is guarded."
    if change.approved_until is None or change.approved_until <= now:
        return "The approval has expired."
    if row.target.leaf_digest not in leaves:
        return "No valid approval covers this machine with this disk."
    return closed_for_now(row, change, now)


def closed_for_now(row: Replacement, change: Change, now: datetime) -> str:
    """Return the sentence of a gate that opens again by itself or by a person's act: kill switch, hours, freeze, lock.

    A machine that waits at such a gate can go back to the queue. What cannot be read counts as closed. Four queries.
    """
    try:
        return kill_switch.pressed(row.account_id, row.region) or _out_of_hours(row, change, now) or _locked(row, now)
    except Exception:
        # A database that does not answer, a calendar entry that nobody foresaw: whatever it is, nothing is sent.
        logger.exception("The gates of replacement %d could not be read", row.pk)
        return "Calendars and kill switch could not be read."


def _out_of_hours(row: Replacement, change: Change, now: datetime) -> str:
    scope = (row.account_id, row.region, row.instance.environment)
    return calendars.closed_for(
        scope, now, named=change.calendar_id, not_before=change.not_before, not_after=change.not_after
    )


def _locked(row: Replacement, now: datetime) -> str:
    lock = MachineLock.objects.in_force(now).filter(instance=row.instance_id).select_related("owner").first()
    return f"{lock.owner} locked the machine: {lock.reason.rstrip('.')}." if lock else ""
