"""Planning a change over 100,000 mirrored machines: the sync, the list, the draft, and the judgement of 10,000 targets."""

import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.db.models.functions import Mod
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from psycopg.types.string import TextLoader

from fleet.changes.drafting.drafts import create_draft
from fleet.changes.judging.images import map_images
from fleet.changes.judging.judgement import judge_draft
from fleet.changes.judging.machine import disk_request_of
from fleet.changes.judging.refusals import DiskRequest
from fleet.emulator import bench as emulators
from fleet.lib.clock import DatabaseClock
from fleet.management.benches import setup
from fleet.models import Change, Image, Instance, Role, User

MACHINES = int(os.environ.get("FLEET_BENCH_MACHINES", "100000"))
TARGETS = min(10_000, MACHINES // 4)
FEW = 10
ACCOUNTS = ("north", "south")
PAGE = 25
DEEP = min(500, MACHINES // PAGE)
ROUNDS = 9

# What a judgement reads of a machine, as it lies in the table.
READ = (
    "account_id", "region", "gone_at", "status", "stopped_mode", "locks", "expires_at", "disk_snapshot_running",
    "io_optimized", "architecture", "instance_type", "os_type", "os_name", "image_id", "disk_size", "disk_category",
    "disk_performance_level", "key_pair", "data_disks", "tags", "seen_at",
)  # fmt: skip
ROWS = (
    f"SELECT t.id, t.snapshot_id, {', '.join(f'i.{name}' for name in READ)}"
    " FROM fleet_target t JOIN fleet_instance i ON i.id = t.instance_id WHERE t.change_id = %s ORDER BY t.position"
)


def figures() -> list[dict[str, Any]]:
    """Measure, and return rows of name, value, unit and limit; all of it on one database, in one run."""
    with ExitStack() as stack:
        url = stack.enter_context(setup.database())
        for name in ACCOUNTS:
            running = stack.enter_context(emulators.emulator(instances=MACHINES // len(ACCOUNTS)))
            setup.account(name, endpoint=running.url.removeprefix("http://"))
        rows = _sync()
        operator = setup.person(Role.OPERATOR)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        # The site looks for its folder of static files, which a machine without a start does not have.
        settings.STATIC_ROOT = settings.ROOT / "static"
        client = Client(SERVER_NAME="localhost")
        client.force_login(operator)
        small, large = (_draft(operator, machines) for machines in (FEW, TARGETS))
        return [*rows, *_judging(large, url), *_listing(client), *_drafting(client, small, large)]


def _sync() -> list[dict[str, Any]]:
    """Sync all in a process of its own: its memory is that of a sync and of nothing else."""
    begun = time.perf_counter()
    manage = settings.ROOT / "manage.py"
    memory = 0.0
    process = subprocess.Popen([sys.executable, str(manage), "sync"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        memory = max(memory, _peak_memory(process.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - begun
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"The sync failed: {said.decode()[-2000:]}")
    mirrored = Instance.objects.present().count()
    if mirrored != MACHINES:
        raise RuntimeError(f"{mirrored:,} machines are mirrored, and not {MACHINES:,}.")
    where = f"{len(ACCOUNTS)} accounts, {len(setup.REGIONS)} regions each"
    return [
        _row(f"full sync of {MACHINES:,} machines ({where})", seconds, "s", None),
        _row("the same, machines a second", MACHINES / seconds, "", None),
        _row("the same, peak memory of its process", memory, "MiB", None),
    ]


def _peak_memory(pid: int) -> float:
    """Return the most memory that a process held so far, in MiB; 0 where it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


def _draft(operator: User, machines: int) -> Change:
    """Make a draft of so many machines from all over the fleet, with an image that each region knows."""
    now = DatabaseClock().now()
    every = MACHINES // machines
    chosen = Instance.objects.present().annotate(place=Mod("pk", every)).filter(place=0).order_by("pk")
    change = create_draft(actor=operator, instance_pks=chosen.values_list("pk", flat=True)[:machines], now=now)
    common = Image.objects.present().filter(os_name__contains="Ubuntu", architecture="x86_64", owner="system")
    images = common.values("image_id").annotate(places=Count("pk")).order_by("-places", "-image_id")
    change.image_id = images[0]["image_id"]
    change.disk_size, change.key_pair = 60, "ops-2026"
    change.title, change.reason = "Bench", "Bench"
    map_images(change, {})
    change.save()
    return change


def _judging(change: Change, url: str) -> list[dict[str, Any]]:
    now = DatabaseClock().now()
    disk_request = disk_request_of(change)
    ratio, raw, judged, alike = _against_rows(change, disk_request, now, url)
    size = change.targets.count()
    # The worst that a fleet can be: no two machines alike.
    pks = list(change.targets.values_list("instance_id", flat=True))
    before = dict(Instance.objects.filter(pk__in=pks).values_list("pk", "disk_size"))
    _sizes({pk: 20 + place for place, pk in enumerate(pks)})
    worst = _against_rows(change, disk_request, now, url)
    _sizes(before)
    return [
        _row(f"PostgreSQL hands over the rows of {size:,} targets, median", raw * 1000, "ms", None),
        _row(f"live validation of {size:,} targets ({alike:,} kinds), median", judged * 1000, "ms", None),
        _row("the same, as a multiple", ratio, "x", 3.0),
        _row(f"the same, were no two machines alike ({worst[3]:,} kinds)", worst[0], "x", None),
    ]


def _against_rows(
    change: Change, disk_request: DiskRequest, now: datetime, url: str
) -> tuple[float, float, float, int]:
    """Take turns at both; return the ratio, the seconds of each, and how many kinds of machine there are."""
    with psycopg.connect(url) as bare:
        # As text: building objects from JSON is not handing over.
        bare.adapters.register_loader("jsonb", TextLoader)
        raw, whole = [], []
        judgement = judge_draft(change=change, disk_request=disk_request, now=now)
        for _ in range(ROUNDS):
            raw.append(_seconds(lambda: bare.execute(ROWS, [change.pk]).fetchall()))
            whole.append(_seconds(lambda: judge_draft(change=change, disk_request=disk_request, now=now)))
    one, other = statistics.median(raw), statistics.median(whole)
    return other / one, one, other, len(judgement.alike_machines)


def _sizes(sizes: dict[int, int]) -> None:
    """Give machines these disk sizes, and the planner the figures of that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE fleet_instance i SET disk_size = d.size FROM unnest(%s::bigint[], %s::int[]) AS d (id, size)"
            " WHERE i.id = d.id",
            [list(sizes), list(sizes.values())],
        )
        cursor.execute("VACUUM ANALYZE fleet_instance")


def _listing(client: Client) -> list[dict[str, Any]]:
    address = reverse("instances")
    names = Instance.objects.present().order_by("name", "pk")
    before = names.values_list("pk", flat=True)[(DEEP - 1) * PAGE - 1]
    deep = f"{address}?to=next:{before}:{(DEEP - 2) * PAGE + 1}"
    one = names.values_list("instance_id", flat=True)[0]
    first, last = (_page(client, where) for where in (address, deep))
    narrow = _page(client, f"{address}?q={one}")
    return [
        _row(f"list of {MACHINES:,} machines, queries", max(first[1], last[1]), "", 12),
        _row("the same of one machine, queries", narrow[1], "", 12),
        _row("list, page 1, median", first[0] * 1000, "ms", None),
        _row(f"list, page {DEEP:,}, median", last[0] * 1000, "ms", None),
        _row("the same, as a multiple of page 1", last[0] / first[0], "x", 1.5),
    ]


def _drafting(client: Client, small: Change, large: Change) -> list[dict[str, Any]]:
    few, many = (_page(client, reverse("draft", args=[change.pk])) for change in (small, large))
    return [
        _row(f"draft of {small.targets.count():,} machines, queries", few[1], "", 12),
        _row(f"draft of {large.targets.count():,} machines, queries", many[1], "", 12),
        _row(f"draft of {small.targets.count():,} machines, median", few[0] * 1000, "ms", None),
        _row(f"draft of {large.targets.count():,} machines, median", many[0] * 1000, "ms", None),
    ]


def _page(client: Client, address: str) -> tuple[float, int]:
    """Return the seconds that a page takes and the number of its queries."""
    with CaptureQueriesContext(connection) as queries:
        _get(client, address)
    # Now: the next request forgets them.
    number = len(queries)
    times = [_seconds(lambda: _get(client, address)) for _ in range(ROUNDS)]
    return statistics.median(times), number


def _get(client: Client, address: str) -> None:
    answer = client.get(address)
    if answer.status_code != 200:
        raise RuntimeError(f"{address} answered {answer.status_code}.")


def _seconds(act: Callable[[], object]) -> float:
    gc.collect()
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _row(name: str, value: float, unit: str, limit: float | None) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": unit, "limit": limit}
