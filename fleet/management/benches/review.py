"""The review screen for a hundred machines and for ten thousand: its weight and its queries must not know the difference."""

import gzip
import time
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from fleet.guards.policy import Policy
from fleet.lib.canonical import digest
from fleet.lib.clock import DatabaseClock
from fleet.management.benches import setup
from fleet.models import Account, Change, ChangeState, Contributor, Image, Instance, Look, Role, Target, User

FEW, MANY = 100, 10_000
QUERIES = 15
WEIGHT = 1.2  # times the page of a few
NEW, OLD = (
    "Ubuntu 24.04 64 bit",
    ("CentOS 7.9 64 bit", "Ubuntu 20.04 64 bit", "Ubuntu 22.04 64 bit", "Debian 11.5 64 bit"),
)
ODD = "Windows Server 2019 Datacenter 64bit"  # every fiftieth machine
REGIONS = ("cn-hangzhou", "cn-shanghai", "cn-beijing")


def figures() -> list[dict[str, Any]]:
    """Measure, and return rows of name, value, unit and limit."""
    with ExitStack() as stack:
        stack.enter_context(setup.database())
        settings.STATIC_ROOT = settings.ROOT / "static"
        account = Account.objects.create(name="bench", regions=list(REGIONS), endpoint="127.0.0.1:1", guard_lifted=True)
        operator, reviewer = setup.person(Role.OPERATOR), setup.person(Role.APPROVER)
        client = Client(SERVER_NAME="localhost")
        client.force_login(reviewer)
        small, large = (_measured(client, in_review(account, operator, machines)) for machines in (FEW, MANY))
    return [
        _row(f"review of {FEW:,} machines: page", small["bytes"], "bytes", None),
        _row(f"review of {MANY:,} machines: page", large["bytes"], "bytes", None),
        _row("the same, compressed", large["compressed"], "bytes", None),
        _row(f"weight, {MANY:,} machines over {FEW:,}", large["bytes"] / small["bytes"], "times", WEIGHT),
        _row(f"queries of the first look, {FEW:,} machines", small["first"], "", QUERIES),
        _row(f"queries of the first look, {MANY:,} machines", large["first"], "", QUERIES),
        _row(f"queries of a later look, {MANY:,} machines", large["later"], "", QUERIES),
        _row(f"time of the page, {FEW:,} machines", small["seconds"] * 1000, "ms", None),
        _row(f"time of the page, {MANY:,} machines", large["seconds"] * 1000, "ms", None),
    ]


def _measured(client: Client, change: Change) -> dict[str, float]:
    """Ask for the page as one who never saw it, then again."""
    path = reverse("change", args=[change.pk])
    client.get(path)  # whatever is compiled once
    Look.objects.all().delete()
    with CaptureQueriesContext(connection) as first:
        page = client.get(path)
    assert page.status_code == 200, page.status_code
    with CaptureQueriesContext(connection) as later:
        begun = time.perf_counter()
        client.get(path)
        seconds = time.perf_counter() - begun
    return {
        "bytes": len(page.content),
        "compressed": len(gzip.compress(page.content)),
        "first": _asked(first),
        "later": _asked(later),
        "seconds": seconds,
    }


def _asked(captured: CaptureQueriesContext) -> int:
    """Count what was asked; the begin and commit around the one row that is written ask for nothing."""
    return sum(query["sql"] not in ("BEGIN", "COMMIT") for query in captured)


def in_review(account: Account, author: User, machines: int) -> Change:
    """Make a change in review with so many machines in five groups, as a check leaves it."""
    now = DatabaseClock().now()
    for region in REGIONS:
        image = {"os_type": "linux", "os_name": NEW, "architecture": "x86_64", "size": 20, "owner": "system"}
        place = {"account": account, "region": region, "image_id": "ubuntu_24_04"}
        Image.objects.get_or_create(**place, defaults=image | {"status": "Available", "seen_at": now})
    change = Change.objects.create(
        author=author,
        state=ChangeState.CHECKING,
        title=f"{machines:,} machines",
        reason="Bench",
        image_id="ubuntu_24_04",
        key_pair="ops-2026",
        disk_size=60,
        policy=Policy(max_in_flight=40, failures_allowed=5, canary=1, hold="person", growth="ramp").as_json(),
        created_at=now,
        edited_at=now,
        submitted_at=now,
        checked_at=now,
    )
    Contributor.objects.create(change=change, revision=1, user=author)
    rows = Instance.objects.bulk_create(_instance(account, change.pk, number, now) for number in range(machines))
    Target.objects.bulk_create(_target(change, row, place) for place, row in enumerate(rows))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    Change.objects.filter(pk=change.pk).update(state=ChangeState.IN_REVIEW, spec_digest=digest(change.pk))
    return change


def _instance(account: Account, change: int, number: int, now: datetime) -> Instance:
    return Instance(
        account=account,
        region=REGIONS[number % len(REGIONS)],
        instance_id=f"i-{change}-{number}",
        name=f"web-{change}-{number:05}",
        status="Running",
        instance_type="ecs.g7.large",
        os_type="windows" if number % 50 == 0 else "linux",
        os_name=ODD if number % 50 == 0 else OLD[number % len(OLD)],
        image_id=f"old-{number % len(OLD)}",
        disk_id=f"d-{change}-{number}",
        disk_size=40,
        disk_category="cloud_essd",
        environment="prod",
        tags={"env": "prod"},
        seen_at=now,
    )


def _target(change: Change, instance: Instance, place: int) -> Target:
    codes = (
        ["os_family"] if instance.os_name == ODD else [] if instance.os_name.startswith("Ubuntu") else ["distribution"]
    )
    seen = {"disk_id": instance.disk_id, "image_id": instance.image_id, "size": 40, "status": "Running"}
    return Target(
        change=change,
        instance=instance,
        position=place,
        seen=seen,
        leaf_digest=digest([instance.pk, seen]),
        findings=[[code, "warn", code] for code in [*codes, "disk_grows"]],
        open=True,
    )


def _row(name: str, value: float, unit: str, limit: float | None) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2) if value % 1 else int(value), "unit": unit, "limit": limit}
