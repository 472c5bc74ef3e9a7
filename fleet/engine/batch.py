"""A claimed batch: rows of one account, region and state, with a fresh reading of each."""

import time
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from fleet.audit.trail import event
from fleet.cloud import CloudError, EcsClient, Retryability
from fleet.engine.pace import began, look_after, usual
from fleet.engine.results import Wait
from fleet.inventory.reading import Reading
from fleet.lib.clock import Clock
from fleet.models import Account, AuditEvent, Replacement

LEASE_SECONDS: float = settings.LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class Batch:
    """`deadline` is the end of the lease on this process's own monotonic clock: no wall clock can stretch it."""

    rows: list[Replacement]
    account: Account
    region: str
    client: EcsClient
    readings: dict[int, Reading]
    clock: Clock
    now: datetime
    deadline: float

    def reading(self, row: Replacement) -> Reading:
        return self.readings[row.instance_id]

    def pace(self, row: Replacement, *, since: datetime | None = None) -> float:
        """Return the seconds until the next look at this machine; `since`: when that began which is waited for."""
        elapsed = (self.now - (since or began(row))).total_seconds()
        return look_after(elapsed, usual(self.account.pk).get(row.state))

    def lease_left(self) -> float:
        return self.deadline - time.monotonic()


def machine_event(row: Replacement, action: str, *, request_id: str = "", **data: object) -> AuditEvent:
    """Return an event about one machine of a change, by the program itself."""
    return event(
        action=action,
        subject=str(row.instance),
        change=row.change_id,
        instance=row.instance_id,
        account=row.account_id,
        request_id=request_id,
        data=dict(data),
    )


def retry_after(error: CloudError, now: datetime) -> Wait | None:
    """Return when to try again after this error, or None where the cloud said a definite no."""
    if error.retryability is Retryability.WAIT:
        # Quotas are counted in fixed minutes: the next one begins anew.
        return Wait(
            60 - now.second + 1, f"The quota of the account is used up ({error.code}); it goes on in the next minute."
        )
    if error.retryability is Retryability.REFUSED:
        return None
    return Wait(5, f"The cloud did not answer ({error.code}); it is looked at again.")
