"""Where the machines of a change are: what decides when they may be touched, and how fast."""

from dataclasses import dataclass

from django.db.models import Count, F, Q

from fleet.models import Change


@dataclass(frozen=True, slots=True)
class Place:
    """An account, region and environment with machines of a change.

    `executes` and `quota` (ReplaceSystemDisk calls a minute) are the account's; `machines` counts those still open in the change.
    """

    account: int
    region: str
    environment: str
    account_name: str
    executes: bool
    quota: int
    machines: int = 0


def places_of(change: Change) -> list[Place]:
    """Return where the machines of a change are: one query."""
    rows = change.targets.order_by().values(
        account=F("instance__account_id"),
        region=F("instance__region"),
        environment=F("instance__environment"),
        account_name=F("instance__account__name"),
        executes=F("instance__account__executes"),
        quota=F("instance__account__replace_quota"),
    )
    return [Place(**row) for row in rows.annotate(machines=Count("pk", filter=Q(open=True)))]
