"""Between submit and review: every machine, image and key pair is read afresh, and only what passes goes to review.

The worker runs it, in batches that a kill may interrupt at any point: a change is claimed with a lease number, each batch is
written under that number, and a worker that was overtaken changes nothing.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import F, QuerySet

from fleet.audit.trail import record_on
from fleet.changes.acting import locked
from fleet.changes.digests import leaf_digest, spec_digest
from fleet.changes.drafting.drafts import move_out
from fleet.changes.judging.images import by_hand_of
from fleet.changes.judging.machine import disk_request_of, judge_some
from fleet.changes.review import quorum
from fleet.inventory.not_readable import NotReadable, TryAgain, as_not_readable
from fleet.inventory.reading import Reading, refresh, refresh_images, refresh_key_pairs
from fleet.lib.clock import Clock
from fleet.lib.text import count
from fleet.models import Change, ChangeState, Contributor, Instance, Login, Target

logger = logging.getLogger(__name__)

BATCH = 100
LEASE = timedelta(seconds=60)
TRY_AGAIN = timedelta(seconds=5)
MOST_CLAIMS = (
    3  # without a batch that was written, before a change that our own error keeps is given back to its author
)


def check_due(clock: Clock, *, stop: Callable[[], bool] = lambda: False) -> bool:
    """Check one change that is due, batch by batch until `stop` says so; say whether there was one."""
    change = _claim(clock)
    if change is None:
        return False
    try:
        with as_not_readable():
            _refresh_surroundings(change, clock)
            while targets := _next_batch(change):
                if not _check_batch(change, targets, clock):
                    return True
                if stop():
                    _release(change, clock)
                    return True
            _conclude(change, clock)
    except NotReadable as error:
        _postpone(change, error, clock)
    except Exception:
        # An error of our own must not keep the worker from the machines of other changes.
        logger.exception("Checking change %d failed", change.pk)
        _after_own_error(change, clock)
    return True


def _claim(clock: Clock) -> Change | None:
    now = clock.now()
    with transaction.atomic():
        change = (
            Change.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("secret", "author")
            .filter(state=ChangeState.CHECKING, due_at__lte=now)
            .order_by("due_at", "pk")
            .first()
        )
        if change is None:
            return None
        change.lease += 1
        change.claims += 1
        change.due_at = now + LEASE
        change.save(update_fields=["lease", "claims", "due_at"])
    return change


def _refresh_surroundings(change: Change, clock: Clock) -> None:
    """Read image and key pair in every place that the change touches."""
    images = by_hand_of(change)
    machines = Instance.objects.filter(targets__change=change).order_by().distinct("account", "region")
    for machine in machines.select_related("account__credential"):
        # A change that puts snapshots back has no image until each is made.
        if image_id := images.get((machine.account_id, machine.region), change.image_id):
            refresh_images(machine.account, machine.region, [image_id], clock)
        if change.login == Login.KEY_PAIR:
            refresh_key_pairs(machine.account, machine.region, [change.key_pair], clock)


def _unless_overtaken(change: Change) -> QuerySet[Change]:
    """Return the claimed change for an update; nothing where another worker has claimed it since."""
    return Change.objects.filter(pk=change.pk, lease=change.lease, state=ChangeState.CHECKING)


def _release(change: Change, clock: Clock) -> None:
    """Leave the rest to the next tick: the change is due at once."""
    _unless_overtaken(change).update(due_at=clock.now())


def _next_batch(change: Change) -> list[Target]:
    # Place by place: the machines of a batch that are in one place are read in one call.
    places = ("instance__account_id", "instance__region", "position", "pk")
    rows = change.targets.select_related("instance", "instance__account").order_by(*places)
    return list(rows[change.checked : change.checked + BATCH])


def _check_batch(change: Change, targets: list[Target], clock: Clock) -> bool:
    """Read and judge one batch, and store what was seen; False where another worker has overtaken this one."""
    readings = refresh([target.instance for target in targets], clock)
    fresh = {t.pk: t for t in change.targets.filter(pk__in=[t.pk for t in targets]).select_related("instance__account")}
    targets = [fresh[target.pk] for target in targets]
    now = clock.now()
    for judged in judge_some(change=change, targets=targets, disk_request=disk_request_of(change), now=now):
        target = judged.target
        target.seen = seen_of(readings[target.instance_id])
        target.leaf_digest = leaf_digest(target)
        target.findings = [[problem.code, str(problem.severity), problem.why] for problem in judged.problems]
    with transaction.atomic():
        if not _unless_overtaken(change).update(checked=F("checked") + len(targets), due_at=now + LEASE, claims=0):
            return False
        Target.objects.bulk_update(targets, ["seen", "leaf_digest", "findings"])
    change.checked += len(targets)
    return True


def seen_of(reading: Reading) -> dict[str, object]:
    """Return what an approval of this machine is about, as JSON without floats."""
    return {
        "disk_id": reading.disk_id,
        "image_id": reading.image_id,
        "size": reading.disk_size,
        "category": reading.disk_category,
        "key_pair": reading.key_pair,
        "snapshot_policy": reading.snapshot_policy,
        "disk_tags": dict(sorted(reading.disk_tags.items())),
        "status": reading.status,
    }


@transaction.atomic
def _conclude(change: Change, clock: Clock) -> None:
    """Send the change to review with what passed, or back to draft where nothing did."""
    claimed = change.lease
    change = locked(change.pk)
    if change.lease != claimed or change.state != ChangeState.CHECKING:
        return
    now = clock.now()
    machines = change.targets.count()
    # Row by row: ten thousand machines with what was seen of them are not held at once.
    found = change.targets.select_related("instance").iterator(chunk_size=500)
    blocked = {target: finding for target in found if (finding := _refusal(target))}
    change.due_at, change.checked_at = None, now
    if len(blocked) == machines:
        _back_to_draft(change, next(iter(blocked.values())), len(blocked))
        return
    move_out(change, blocked, now=now)
    change.state = ChangeState.IN_REVIEW
    change.spec_digest = spec_digest(change)
    quorum.set_approvals_needed(change)
    change.check_note = ""
    change.save()
    record_on(
        change,
        "change.checked",
        machines=machines - len(blocked),
        left_out=len(blocked),
        revision=change.revision,
        spec_digest=change.spec_digest,
    )


def _back_to_draft(change: Change, finding: tuple[str, str], machines: int) -> None:
    code, why = finding
    change.state = ChangeState.DRAFT
    change.revision += 1
    change.check_note = (
        f"The check did not pass for {'the' if machines == 1 else 'any of the'} {count(machines, 'machine')}: {why}"
        f"{'' if why.endswith('.') else '.'} Everything that you chose is still here; change it and submit again."
    )
    change.save()
    change.targets.update(open=False)
    Contributor.objects.get_or_create(change=change, revision=change.revision, user=change.author)
    record_on(change, "change.check_failed", code=code, why=why, machines=machines)


def _refusal(target: Target) -> tuple[str, str] | None:
    return next(((code, why) for code, severity, why in target.findings if severity == "block"), None)


def _postpone(change: Change, error: NotReadable, clock: Clock) -> None:
    """Try again later; where the cloud refuses the reading itself, give the change back to its author."""
    now = clock.now()
    if error.again is TryAgain.NEVER:
        _give_back(change, error.code, f"the cloud refused to show them: {error.message}")
        return
    next_minute = error.again is TryAgain.NEXT_MINUTE
    wait = timedelta(seconds=60 - now.second) if next_minute else TRY_AGAIN * min(change.claims, 12)
    words = f"The cloud does not answer ({error.code}); it is asked again."
    _unless_overtaken(change).update(due_at=now + wait, check_note=words)


def _after_own_error(change: Change, clock: Clock) -> None:
    """Try again after an error of our own; after the third time in a row give the change back to its author."""
    if change.claims < MOST_CLAIMS:
        words = "The check met an error of Fleet OS itself; it is tried again."
        _unless_overtaken(change).update(due_at=clock.now() + TRY_AGAIN * change.claims, check_note=words)
        return
    why = f"Fleet OS itself met an error, {MOST_CLAIMS} times in a row, and its log says which. Show an administrator."
    _give_back(change, "InternalError", why)


@transaction.atomic
def _give_back(change: Change, code: str, why: str) -> None:
    """Send a change that cannot be checked back to draft, unless another worker has overtaken this one."""
    current = locked(change.pk)
    if current.lease == change.lease and current.state == ChangeState.CHECKING:
        current.due_at = None
        _back_to_draft(current, (code, why), current.targets.count())
