"""The facts of a machine that a judgement looks at, and nothing else: from its row, or for thousands of machines by one query.

Times and tags become yes or no here, so that two machines which no rule can tell apart have equal facts. `machine_of` and
`read_facts` must find the same facts of the same machine; a test compares them.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import BooleanField, Case, F, FilteredRelation, FloatField, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Extract, Lower
from django.db.models.lookups import In

from fleet.models import Change, Instance, MachineLock, Outcome, Replacement, Target
from fleet.models.guards import lock_in_force

STALE_AFTER = timedelta(minutes=5)
RECENT = timedelta(days=1)
PROTECTED = ("true", "yes", "1")
REPLACED = (Outcome.SUCCEEDED, Outcome.ADOPTED, Outcome.FAILED_REPLACED)  # a new disk came, well or not


class Machine(NamedTuple):
    """The facts of one machine at one moment. `disk_size` is in GiB.

    `elsewhere` is the number of another open change that the machine is in, `lock` the primary key of its lock in force, and
    `snapshot_id` the snapshot that is to be put back on it. Only then `instance` is the primary key of its row: it has to be
    the machine of which the snapshot was taken.
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
    """Return the facts of one machine from its row, and from what other tables hold about it."""
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


def read_facts(change: Change, now: datetime) -> QuerySet[Target, Any]:
    """Return a row for each target of `change`, in no order: its primary key, when its instance was read, and its facts.

    The time is in seconds since 1970 (ten thousand numbers are read many times as fast as ten thousand times). The facts, all
    the rest of the row, are the fields of a Machine in their order.
    """
    targets = change.targets.order_by().annotate(
        # At most one row each, by a partial unique index: a join multiplies nothing.
        _other=FilteredRelation(
            "instance__targets",
            condition=Q(instance__targets__open=True) & ~Q(instance__targets__change_id=change.pk),
        ),
        _lock=FilteredRelation("instance__machine_locks", condition=Q(instance__machine_locks__released_at=None)),
    )
    lately = Replacement.objects.filter(outcome__in=REPLACED, finished_at__gt=now - RECENT).values("instance")
    derived: dict[str, Combinable] = {
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
    # Annotations need names of their own, since some facts are called like a column of the target.
    facts = {f"fact_{name}": derived.get(name, F(f"instance__{name}")) for name in Machine._fields}
    read_at = Cast(Extract("instance__seen_at", "epoch"), FloatField())
    return targets.annotate(**facts).values_list("pk", read_at, *facts)


def _whether(condition: Q | Combinable) -> Case:
    """Return the condition as a column of true and false: where a condition is unknown to SQL, it is false."""
    return Case(When(condition, then=Value(True)), default=Value(False), output_field=BooleanField())
