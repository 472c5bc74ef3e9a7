"""Changes in review over a small fleet of rows, without a cloud: what the tests of the rules decide about."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.changes.digests import leaf_digest, spec_digest
from fleet.changes.review import deciding, quorum
from fleet.changes.review.groups import grouped
from fleet.changes.running import controls
from fleet.lib.clock import ManualClock
from fleet.models import Account, Approval, Change, ChangeState, Contributor, Image, Instance, Role, Target, User
from tests.support import people

# A Monday noon that is no day on which a clock changes anywhere.
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
POLICY = {"max_in_flight": 5, "failures_allowed": 2}


@dataclass(slots=True)
class World:
    """An account that executes, its image, an author, two approvers, and a clock that is passed in."""

    clock: ManualClock
    account: Account
    image: Image
    author: User
    reviewer: User
    second: User
    machines: list[Instance]

    @property
    def now(self) -> datetime:
        return self.clock.now()


def world(machines: int = 4) -> World:
    account = people.account()
    Account.objects.filter(pk=account.pk).update(executes=True)
    return World(
        clock=ManualClock(NOON),
        account=account,
        image=people.image(account),
        author=people.person("author", Role.OPERATOR),
        reviewer=people.person("reviewer", Role.APPROVER),
        second=people.person("second", Role.APPROVER),
        machines=[people.machine(account, number, tags={"fleet-os": "allowed"}) for number in range(machines)],
    )


def asked(here: World, machines: list[Instance] | None = None, *, warned: str = "", **fields: Any) -> Change:
    """Return a change in review as the check leaves it; `warned` is the code of a warning on its last machine."""
    values = {"image_id": here.image.image_id, "login": "image", "policy": POLICY, "title": "Web tier"} | fields
    change = Change.objects.create(author=here.author, created_at=here.now, edited_at=here.now, **values)
    Contributor.objects.create(change=change, revision=1, user=here.author)
    chosen = here.machines if machines is None else machines
    for place, machine in enumerate(chosen):
        Target.objects.create(change=change, instance=machine, position=place)
    return checked(here, change, warned=warned)


def checked(here: World, change: Change, *, warned: str = "") -> Change:
    """Do what submit and check do to a draft."""
    change.state, change.submitted_at = ChangeState.CHECKING, here.now
    change.save()
    targets = list(change.targets.select_related("instance").order_by("position"))
    for target in targets:
        machine = target.instance
        target.open = True
        target.seen = {"disk_id": machine.disk_id, "image_id": machine.image_id, "size": machine.disk_size}
        target.leaf_digest = leaf_digest(target)
        target.findings = [[warned, "warn", "x"]] if warned and target is targets[-1] else []
        target.save()
    change.state, change.checked_at, change.spec_digest = ChangeState.IN_REVIEW, here.now, spec_digest(change)
    quorum.set_approvals_needed(change)
    change.save()
    return change


def mark_all(here: World, change: Change, by: User) -> None:
    for group in grouped(change).warning_groups:
        deciding.mark_seen(actor=by, change_id=change.pk, key=group.key, now=here.now)


def approve(here: World, change: Change, by: User | None = None, **given: Any) -> Change:
    """Approve as a reviewer does who reads the present form; `given` changes what is sent."""
    fresh = Change.objects.get(pk=change.pk)
    sent: dict[str, Any] = {
        "digest": fresh.spec_digest,
        "confirmed": str(fresh.targets.filter(open=True).count()),
        "now": here.now,
    } | given
    return deciding.approve(actor=by or here.reviewer, change_id=change.pk, **sent)


def approved(here: World, **fields: Any) -> Change:
    """Return a change that is approved; `fields` are what `asked` takes."""
    change = asked(here, **fields)
    approve(here, change)
    change.refresh_from_db()
    return change


def start(here: World, change: Change) -> Change:
    return controls.start(actor=here.author, change_id=change.pk, now=here.now)


def insert(here: World, change: Change, by: User, **given: Any) -> Approval:
    """Write an approval past every use case, as whoever holds the database could."""
    fields: dict[str, Any] = {
        "change": change,
        "revision": change.revision,
        "round": change.round,
        "reviewer": by,
        "decision": "approve",
        "spec_digest": change.spec_digest,
        "leaves": list(change.targets.values_list("leaf_digest", flat=True)),
        "at": here.now,
        "expires_at": here.now + timedelta(hours=72),
    } | given
    return Approval.objects.create(**fields)
