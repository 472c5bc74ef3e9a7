"""Everything about one machine that a judgement looks at, and nothing else: from its row, or for thousands at once by a query.

Times and tags become yes or no here, so that machines that no rule can tell apart are equal. `machine_of` and `facts` say the
same of the same machine; a test holds them to it.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import BooleanField, Case, F, FilteredRelation, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Lower
from django.db.models.lookups import In

from fleet.models import Change, Instance, MachineLock, Outcome, Replacement, Target
from fleet.models.guards import lock_in_force

STALE_AFTER = timedelta(minutes=5)
RECENT = timedelta(days=1)
PROTECTED = ("true", "yes", "1")
REPLACED = (Outcome.SUCCEEDED, Outcome.ADOPTED, Outcome.FAILED_REPLACED)  # a new disk came, well or not


class Machine(NamedTuple):
    """What is known of a machine at one moment. `disk_size` is GiB.

    `elsewhere` is the number of another open change that it is in, `lock` the key of its lock in force, `snapshot_id` what is
    to be put back on it; only then `instance` is the key of its row, to hold against that of the snapshot.
    """

    disk_size: int
    instance_type: str
    image_id: str
    os_name: str
    protected: bool
    allowed: bool
    has_data_disks: bool
    disk_category: str
    disk_performance_level: str
    key_pair: str
    status: str
    account: int
    region: str
    gone: bool
    locked_for_security: bool
    payment_due: bool
    snapshot_running: bool
    io_optimized: bool
    architecture: str
    os_type: str
    economical: bool
    stale: bool
    replaced_lately: bool = False
    elsewhere: int | None = None
    lock: int | None = None
    snapshot_id: str = ""
    instance: int | None = None


def machine_of(
    instance: Instance,
    *,
    now: datetime,
    last_replaced: datetime | None = None,
    elsewhere: int | None = None,
    lock: MachineLock | None = None,
    snapshot_id: str = "",
) -> Machine:
    """Return what a judgement looks at of one machine, from its row and what is known beside it."""
    return Machine(
        account=instance.account_id,
        region=instance.region,
        gone=instance.gone_at is not None,
        status=instance.status,
        locked_for_security="security" in instance.locks,
        payment_due="financial" in instance.locks or (instance.expires_at is not None and instance.expires_at < now),
        snapshot_running=instance.disk_snapshot_running,
        io_optimized=instance.io_optimized,
        architecture=instance.architecture,
        instance_type=instance.instance_type,
        os_type=instance.os_type,
        os_name=instance.os_name,
        image_id=instance.image_id,
        disk_size=instance.disk_size,
        disk_category=instance.disk_category,
        disk_performance_level=instance.disk_performance_level,
        key_pair=instance.key_pair,
        has_data_disks=instance.data_disks > 0,
        economical=instance.status == "Stopped" and instance.stopped_mode == "StopCharging",
        allowed=instance.tags.get("fleet-os") == "allowed",
        protected=instance.tags.get("protected", "").lower() in PROTECTED,
        stale=instance.seen_at < now - STALE_AFTER,
        replaced_lately=last_replaced is not None and last_replaced > now - RECENT,
        elsewhere=elsewhere,
        lock=lock.pk if lock is not None and lock.is_in_force(now) else None,
        snapshot_id=snapshot_id,
        instance=instance.pk if snapshot_id else None,
    )


COLUMNS = tuple(f"m_{name}" for name in Machine._fields)


def with_facts(change: Change, now: datetime) -> QuerySet[Target, Any]:
    """Return the targets of `change`, in no order, as tuples of COLUMNS: the fields of Machine."""
    targets = change.targets.order_by().annotate(
        # At most one row each, by a partial unique index: a join multiplies nothing.
        _other=FilteredRelation(
            "instance__targets",
            condition=Q(instance__targets__open=True) & ~Q(instance__targets__change_id=change.pk),
        ),
        _lock=FilteredRelation("instance__machine_locks", condition=Q(instance__machine_locks__released_at=None)),
    )
    lately = Replacement.objects.filter(outcome__in=REPLACED, finished_at__gt=now - RECENT).values("instance")
    found: dict[str, Combinable] = {
        "account": F("instance__account_id"),
        "gone": _whether(Q(instance__gone_at__isnull=False)),
        "locked_for_security": _whether(Q(instance__locks__contains=["security"])),
        "payment_due": _whether(Q(instance__locks__contains=["financial"]) | Q(instance__expires_at__lt=now)),
        "snapshot_running": F("instance__disk_snapshot_running"),
        "has_data_disks": _whether(Q(instance__data_disks__gt=0)),
        "economical": _whether(Q(instance__status="Stopped", instance__stopped_mode="StopCharging")),
        "allowed": _whether(Q(instance__tags__contains={"fleet-os": "allowed"})),
        "protected": _whether(In(Lower(KeyTextTransform("protected", "instance__tags")), PROTECTED)),
        "stale": _whether(Q(instance__seen_at__lt=now - STALE_AFTER)),
        "replaced_lately": _whether(Q(instance__in=lately)),
        "elsewhere": F("_other__change_id"),
        "lock": Case(When(lock_in_force(now, "_lock__"), then=F("_lock__pk"))),
        "snapshot_id": F("snapshot_id"),
        "instance": Case(When(~Q(snapshot_id=""), then=F("instance_id"))),
    }
    columns = {f"m_{name}": found.get(name, F(f"instance__{name}")) for name in Machine._fields}
    return targets.annotate(**columns).values_list(*COLUMNS)


def _whether(condition: Q | Combinable) -> Case:
    """Return a condition as true or false, never as unknown."""
    return Case(When(condition, then=Value(True)), default=Value(False), output_field=BooleanField())
