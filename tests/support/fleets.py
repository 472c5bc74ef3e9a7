"""A mirrored demo fleet, and changes in every state, made by the use cases themselves."""

import copy
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any
from unittest.mock import patch

from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection
from django.db.models import AutoField, Model

from fleet.changes import checking
from fleet.changes.drafting import drafts
from fleet.changes.review import deciding
from fleet.changes.review.groups import grouped
from fleet.changes.running import controls
from fleet.engine import loop
from fleet.guards.policy import Policy as Policy
from fleet.inventory.credentials import client_for
from fleet.inventory.sync import sync_all
from fleet.lib.clock import Clock, DatabaseClock
from fleet.lib.secret import Secret as Secret
from fleet.models import (
    Account,
    Change,
    ChangeState,
    Grant,
    Heartbeat,
    Image,
    Instance,
    InstanceType,
    KeyPair,
    RegionMirror,
    Replacement,
    SealedSecret,
    SeenMark,
    SystemDisk,
    User,
)
from tests.support.emulator import Emulator

PASSWORD = "demo-password-of-the-tests"


def mirror(emulator: Emulator) -> None:
    """Make the demo account and its people, and read the whole fleet through the SDK.

    The same demo fleet, untouched since its reset, is read once a session; later its rows are put in as they were.
    """
    health = emulator.call("GET", "health")
    key = (emulator.port, health["instances"]) if not emulator.journal() else None
    if key in _read_before:
        for rows in _read_before[key]:
            rows[0].__class__._default_manager.bulk_create(copy.copy(row) for row in rows)
        _advance_sequences()
        return
    with patch.dict(os.environ, {"FLEET_DEMO_PASSWORD": PASSWORD}):
        call_command("demo", emulator_port=emulator.port)
    list(sync_all(clock=DatabaseClock()))
    if key:
        _read_before[key] = [rows for model in MIRRORED if (rows := list(model._default_manager.all()))]


# In the order of their references.
MIRRORED: list[type[Model]] = [
    SealedSecret, Account, User, Grant, RegionMirror, InstanceType, Image, KeyPair, Instance, SystemDisk, Heartbeat,
]  # fmt: skip
_read_before: dict[tuple[int, int] | None, list[list[Any]]] = {}


def _advance_sequences() -> None:
    """Let new rows get numbers behind those of the rows that were put in."""
    models = [model for model in MIRRORED if isinstance(model._meta.pk, AutoField)]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)


def person(name: str) -> User:
    return User.objects.get(username=name)


def plain(number: int = 5, **filters: Any) -> list[Instance]:
    """Return running x86 Linux machines with a 40 GiB disk that nothing stands against."""
    wanted: dict[str, Any] = {
        "region": "cn-hangzhou",
        "status": "Running",
        "os_type": "linux",
        "architecture": "x86_64",
        "disk_size": 40,
        "locks": [],
        "expires_at": None,
        "disk_snapshot_running": False,
    } | filters
    if wanted["expires_at"] is None:
        del wanted["expires_at"]
    found = Instance.objects.filter(gone_at=None, **wanted).exclude(tags__has_key="case").order_by("name", "pk")
    machines = list(found[:number])
    assert len(machines) == number, f"the demo fleet has only {len(machines)} such machines"
    return machines


def image_named(label: str, **filters: Any) -> Image:
    """Return a public image of cn-hangzhou by a part of its system's name."""
    wanted: dict[str, Any] = {"region": "cn-hangzhou", "owner": "system", "architecture": "x86_64"} | filters
    found = Image.objects.filter(os_name__icontains=label, gone_at=None, **wanted).order_by("-image_id").first()
    assert found is not None, f"no image {label}"
    return found


def settings(image: Image, **given: Any) -> drafts.Settings:
    fields: dict[str, Any] = {
        "title": "Web tier to Ubuntu 24.04",
        "reason": "Ubuntu 20.04 is out of support; nothing on these disks is the only copy.",
        "image_id": image.image_id,
        "disk_size": 60,
        "login": "key_pair",
        "key_pair": "ops-2026",
        "password": None,
        "forget_password": False,
        "security_enhancement": False,
        "policy": Policy(max_in_flight=10, failures_allowed=0),
    }
    return drafts.Settings(**(fields | given))


def draft(machines: list[Instance], image: Image, now: datetime, **given: Any) -> Change:
    change = drafts.create_draft(actor=person("operator"), instance_pks=[m.pk for m in machines], now=now)
    return drafts.edit_draft(actor=person("operator"), change_id=change.pk, settings=settings(image, **given), now=now)


def in_review(machines: list[Instance], image: Image, clock: Clock, **given: Any) -> Change:
    change = draft(machines, image, clock.now(), **given)
    drafts.submit(actor=person("operator"), change_id=change.pk, now=clock.now())
    check_all(clock)
    change.refresh_from_db()
    return change


def check_all(clock: Clock) -> None:
    """Do what the worker does between submit and review."""
    while checking.check_due(clock):
        pass


def approved(machines: list[Instance], image: Image, clock: Clock, **given: Any) -> Change:
    change = in_review(machines, image, clock, **given)
    assert change.state == ChangeState.IN_REVIEW, change.check_note
    return approve(change, clock)


def approve(change: Change, clock: Clock, *, by: str = "reviewer") -> Change:
    """Do what a reviewer does: mark every group with warnings as seen, type the number of machines, approve."""
    mark_all(change, clock, by=by)
    return deciding.approve(
        actor=person(by),
        change_id=change.pk,
        digest=change.spec_digest,
        confirmed=str(change.targets.filter(open=True).count()),
        now=clock.now(),
    )


def mark_all(change: Change, clock: Clock, *, by: str = "reviewer") -> None:
    """Mark every group with warnings as seen, without the questions and the trail of `deciding.mark_seen`.

    That would read the change once more for each of them, and has its own tests. A round later the marks of one revision stand.
    """
    form = {"change": change, "revision": change.revision, "reviewer": person(by), "at": clock.now()}
    marks = [SeenMark(**form, group_key=group.key) for group in grouped(change).warning_groups]
    change.seen_marks.bulk_create(marks, ignore_conflicts=True)


def started(machines: list[Instance], image: Image, clock: Clock, **given: Any) -> Change:
    change = approved(machines, image, clock, **given)
    return controls.start(actor=person("operator"), change_id=change.pk, now=clock.now())


def replace_behind_our_back(machine: Instance, image: Image) -> None:
    """Do what another user of the account may do at any time: stop the machine, replace its disk, start it."""
    client = client_for(machine.account, machine.region)
    client.stop_instances(ids=[machine.instance_id])
    client.replace_system_disk(
        instance_id=machine.instance_id,
        image_id=image.image_id,
        client_token=f"other-{machine.pk}",
        key_pair="ops-2026",
    )
    client.start_instances(ids=[machine.instance_id])


class Stuck(AssertionError):
    """Work did not come to an end in as many steps as it should."""


def drive(clock: Any, *, until: Callable[[], bool] = lambda: False, rarely: float = 0, steps: int = 400) -> None:
    """Do all work, moving the passed-in clock to whatever is due next, until nothing is due or `until` says so.

    Changes are looked after by what settles their machines; all of them, as at the begin of a tick, only when no machine
    is due any more. With `rarely`, in seconds, the clock moves by at least so much: for what takes long until it fails.
    """
    for _ in range(steps):
        if until():
            return
        if loop.step(clock):
            continue
        wait = loop.next_due_in(clock)
        if wait is None:
            loop.look_after_all_changes(clock)
            wait = loop.next_due_in(clock)
        if wait is None:
            return
        clock.advance(max(wait + 0.001, rarely))
    states = list(Replacement.objects.values_list("state", "note"))
    raise Stuck(f"{states}")
