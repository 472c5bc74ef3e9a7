"""A batch: claimed rows of one account, region and state, with a fresh reading of each machine."""

import time
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from fleet.audit.trail import event
from fleet.cloud import CloudError, EcsClient, Retryability
from fleet.engine.pace import learnt_seconds, seconds_to_next_look, wait_began
from fleet.engine.results import Wait
from fleet.inventory.reading import Reading
from fleet.lib.clock import Clock
from fleet.models import Account, AuditEvent, Replacement

LEASE_SECONDS: float = settings.LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class Batch:
    """What a handler works on. `readings` are by the key of the instance.

    `deadline` is the end of the lease by this process's own monotonic clock: no change of the time of day can stretch it.
    """

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
        """Return the seconds until this machine is to be looked at again; `since` is when the wait began."""
        elapsed = (self.now - (since or wait_began(row))).total_seconds()
        return seconds_to_next_look(elapsed, learnt_seconds(self.account.pk).get(row.state))

    def lease_left(self) -> float:
        """Return the seconds until another worker may claim these rows."""
        return self.deadline - time.monotonic()


def machine_event(row: Replacement, action: str, *, request_id: str = "", **data: object) -> AuditEvent:
    """Return an event about one machine of a change, done by the program itself."""
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
    """Return when to try again after this error, or None where the cloud has refused for good."""
    if error.retryability is Retryability.WAIT:
        # Quotas are counted in fixed minutes: the next minute has a fresh one.
        return Wait(
            60 - now.second + 1, f"The quota of the account is used up ({error.code}); it goes on in the next minute."
        )
    if error.retryability is Retryability.REFUSED:
        return None
    return Wait(5, f"The cloud did not answer ({error.code}); it is looked at again.")
