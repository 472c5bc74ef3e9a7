"""A rollout beside the two ways of others: calls to the API, throttled calls and time, on one emulator in one run.

Machines live `SPEED` times faster than the 30 s to stop, 60 s to replace and 40 s to start that the figures are stated for;
quotas stay real minutes. The engine is `manage.py runner`, a process of its own, from the submit of a change to its finish: one
wave after a canary of one in a hundred, without a hold.

The *bound* is the earliest that anybody could be done, at the same quota and as many machines in flight: for each wave the
machines' own time, or the opening of the minute that admits its last call and what that machine still takes after it.
"""

import json
import math
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from fleet.changes.drafting import drafts
from fleet.changes.drafting.settings import Settings
from fleet.changes.review import deciding
from fleet.changes.review.groups import grouped
from fleet.changes.running import controls
from fleet.emulator import bench as emulators
from fleet.guards.policy import Policy
from fleet.inventory.sync import sync_all
from fleet.lib.clock import DatabaseClock
from fleet.management.benches import peers, setup
from fleet.models import Account, Change, ChangeState, Image, Instance, Role, User

REGION = "cn-shanghai"  # the first region has machines that refuse, one for each refusal
SPEED = 10.0
STOP, REPLACE, START = 30.0, 60.0, 40.0
QUOTA = 200
SIZES = [int(size) for size in os.environ.get("FLEET_BENCH_SIZES", "10,100,1000").split(",")]
GROWTH = [int(size) for size in os.environ.get("FLEET_BENCH_GROWTH", "1000,10000").split(",")]
PEER_THREADS = 200
LIMITS = {"calls": 1.3, "bound": 1.10, "throttled": 0.0}
FLAT = 1.25


@dataclass(frozen=True, slots=True)
class Cloud:
    """The emulator under measurement, over its control interface."""

    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def control(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/__emulator__/{path}", data=data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as response:
            return json.load(response)

    def seed(self, machines: int, *, quota: int | None) -> None:
        """Make a fleet of plain running machines whose lives take what the figures are stated for."""
        self.control("POST", "reset", {"instances": machines, "regions": [REGION], "plain": True})
        self.control("PUT", "durations", {"stop": STOP, "replace": REPLACE, "start": START})
        self.control("PUT", "quotas", {"ReplaceSystemDisk": quota})
        self.control("PUT", "settings", {"speed": SPEED})

    def last_call(self) -> int:
        return int(self.control("GET", "journal?limit=1")["last_seq"])

    def calls_since(self, seq: int) -> list[dict[str, Any]]:
        """Return every call after number `seq`, in order."""
        found: list[dict[str, Any]] = []
        while page := self.control("GET", f"journal?since={seq}&limit=1000")["entries"]:
            found += page
            seq = page[-1]["seq"]
        return found


@dataclass(frozen=True, slots=True)
class Run:
    """What one way took: calls, throttled calls, seconds, the bound in seconds; of the engine CPU seconds and MiB besides."""

    calls: int
    throttled: int
    seconds: float
    bound: float
    actions: Counter[str]
    cpu: float = 0.0
    memory: float = 0.0


def figures() -> list[dict[str, Any]]:
    """Measure, and return rows of name, value, unit and limit."""
    rows: list[dict[str, Any]] = []
    with setup.database(), emulators.emulator(instances=10) as started:
        cloud = Cloud(started.url)
        people = {role: setup.person(role) for role in (Role.OPERATOR, Role.APPROVER)}
        for machines in sorted(SIZES, reverse=True):
            limited = LIMITS if machines == 1000 else {}
            rows += _rows("this engine", machines, _engine(cloud, people, machines, quota=QUOTA), limited)
            rows += _rows("loop of OOS", machines, _peer(cloud, peers.oos, machines), {})
            rows += _rows("loop of Terraform", machines, _peer(cloud, peers.terraform, machines), {})
        grown = {machines: _engine(cloud, people, machines, quota=None) for machines in GROWTH}
    for machines, run in grown.items():
        rows += [
            _row(f"{machines:,} in flight at once, peak memory", run.memory, "MiB", None),
            _row(f"{machines:,} in flight at once, CPU a machine", 1000 * run.cpu / machines, "ms", None),
        ]
    few, many = (grown[size] for size in GROWTH)
    rows.append(_row(f"memory at {GROWTH[1]:,} over {GROWTH[0]:,}", many.memory / few.memory, "x", FLAT))
    each = (many.cpu / GROWTH[1]) / (few.cpu / GROWTH[0])
    rows.append(_row(f"CPU a machine at {GROWTH[1]:,} over {GROWTH[0]:,}", each, "x", None))
    return rows


def _engine(cloud: Cloud, people: dict[Role, User], machines: int, *, quota: int | None) -> Run:
    """Let the engine replace all disks of a fresh fleet; without a quota all machines are in flight at once."""
    cloud.seed(machines, quota=quota)
    account = setup.account(
        f"bench-{Account.objects.count()}", endpoint=cloud.url.removeprefix("http://"), regions=[REGION]
    )
    account.guard_lifted, account.replace_quota = True, quota or 1_000_000
    account.save()
    list(sync_all(clock=DatabaseClock()))
    policy = Policy(max_in_flight=machines, canary=max(1, machines // 100) if quota else 0)
    with _runner() as runner:
        change = _submitted(people, account, policy)
        begin, seq = time.monotonic(), cloud.last_call()
        change = _until(change, ChangeState.IN_REVIEW, seconds=600)
        waited = time.monotonic() - begin
        _approve(people, change)
        began_at, begin = time.time(), time.monotonic()
        controls.start(actor=people[Role.OPERATOR], change_id=change.pk, now=DatabaseClock().now())
        _until(change, ChangeState.FINISHED, seconds=3600)
        seconds = time.monotonic() - begin
        cpu, memory = _cpu_seconds(runner), _peak_memory(runner)
    if waited > seconds + 600:
        raise RuntimeError("The check took longer than everything else.")
    _must_be_replaced(cloud, machines)
    waves = [len(wave) for wave in policy.waves([""] * machines)]
    calls = cloud.calls_since(seq)
    Account.objects.filter(pk=account.pk).update(regions=[])  # nothing of it is read again
    return _run(calls, seconds, _bound(waves, began_at, quota), cpu=cpu, memory=memory)


def _peer(cloud: Cloud, way: Callable[[peers.Order], None], machines: int) -> Run:
    cloud.seed(machines, quota=QUOTA)
    sdk = peers.Sdk(peers.Order(cloud.port, REGION, "", 0, "", [], 1, SPEED))
    ids: list[str] = []
    token = ""
    while True:
        page = sdk.call("DescribeInstances", MaxResults=100, **({"NextToken": token} if token else {}))
        ids += [machine["InstanceId"] for machine in page["Instances"]["Instance"]]
        if not (token := page.get("NextToken", "")):
            break
    images = sdk.call("DescribeImages", ImageOwnerAlias="system", OSType="linux", Architecture="x86_64", PageSize=50)
    order = peers.Order(
        port=cloud.port,
        region=REGION,
        image_id=images["Images"]["Image"][0]["ImageId"],
        size=60,
        key_pair="ops-2026",
        instance_ids=ids,
        in_flight=min(machines, PEER_THREADS),
        speed=SPEED,
    )
    seq, began_at, begin = cloud.last_call(), time.time(), time.monotonic()
    way(order)
    seconds = time.monotonic() - begin
    _must_be_replaced(cloud, machines)
    return _run(cloud.calls_since(seq), seconds, _bound([machines], began_at, QUOTA))


def _run(calls: list[dict[str, Any]], seconds: float, bound: float, *, cpu: float = 0, memory: float = 0) -> Run:
    throttled = sum(1 for call in calls if str(call.get("code") or "").startswith("Throttling"))
    return Run(len(calls), throttled, seconds, bound, Counter(call["action"] for call in calls), cpu, memory)


def _bound(waves: list[int], began_at: float, quota: int | None) -> float:
    """Return the least seconds from `began_at` (Unix time) that these waves can take."""
    stop, after = STOP / SPEED, (REPLACE + START) / SPEED
    now, used, minute = began_at, 0, -1
    for size in waves:
        stopped = now + stop
        if quota is None:
            now = stopped + after
            continue
        # The calls of a wave fill what its first minute has left, then whole minutes.
        if int(stopped // 60) != minute:
            minute, used = int(stopped // 60), 0
        beyond = max(0, size - (quota - used))
        windows = math.ceil(beyond / quota)
        last = 60.0 * (minute + windows) if windows else stopped
        used = beyond - (windows - 1) * quota if windows else used + size
        minute += windows
        now = max(stopped, last) + after
    return now - began_at


@contextmanager
def _runner() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, str(settings.ROOT / "manage.py"), "runner"])
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


def _submitted(people: dict[Role, User], account: Account, policy: Policy) -> Change:
    operator, now = people[Role.OPERATOR], DatabaseClock().now()
    machines = Instance.objects.present().filter(account=account)
    image = Image.objects.present().filter(account=account, owner="system", os_type="linux", architecture="x86_64")
    change = drafts.create_draft(actor=operator, instance_pks=machines.values_list("pk", flat=True), now=now)
    chosen = Settings(
        title="Bench",
        reason="Bench",
        image_id=image.order_by("image_id")[0].image_id,
        disk_size=60,
        login="key_pair",
        key_pair="ops-2026",
        password=None,
        forget_password=False,
        security_enhancement=False,
        policy=policy,
    )
    drafts.edit_draft(actor=operator, change_id=change.pk, settings=chosen, now=now)
    return drafts.submit(actor=operator, change_id=change.pk, now=now)


def _approve(people: dict[Role, User], change: Change) -> None:
    approver, now = people[Role.APPROVER], DatabaseClock().now()
    for group in grouped(change).warning_groups:
        deciding.mark_seen(actor=approver, change_id=change.pk, key=group.key, now=now)
    confirmed = str(change.targets.count())
    deciding.approve(actor=approver, change_id=change.pk, digest=change.spec_digest, confirmed=confirmed, now=now)


def _until(change: Change, state: ChangeState, *, seconds: float) -> Change:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        change.refresh_from_db()
        if change.state == state:
            return change
        if change.state in (ChangeState.TRIPPED, ChangeState.DRAFT):
            raise RuntimeError(f"The change is {change.state}: {change.waits_for or change.check_note}")
        time.sleep(0.1)
    raise RuntimeError(f"The change is still {change.state} after {seconds:,.0f} s.")


def _must_be_replaced(cloud: Cloud, machines: int) -> None:
    """Raise unless each machine got one new disk: a figure of work that was not done is worth nothing."""
    disks = cloud.control("GET", "ledger?since=seed")["disks"]
    made = Counter(disk["instance_id"] for disk in disks if disk["how"] == "ReplaceSystemDisk")
    if len(made) != machines or set(made.values()) != {1}:
        raise RuntimeError(f"{len(made):,} of {machines:,} machines got a new disk, {sum(made.values()):,} disks.")


def _peak_memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far: fields 14 and 15 of its stat, in clock ticks."""
    user, system = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _rows(way: str, machines: int, run: Run, limits: dict[str, float]) -> list[dict[str, Any]]:
    name = f"{machines:,} machines, {way}"
    busiest = ", ".join(f"{action} {calls:,}" for action, calls in run.actions.most_common(5))
    # A bench of half an hour says how far it is; the figures themselves come at the end.
    print(f"{name}: {run.calls:,} calls ({busiest}), {run.seconds:.1f} s, bound {run.bound:.1f} s", file=sys.stderr)
    return [
        _row(f"{name}: calls a machine", run.calls / machines, "", limits.get("calls")),
        _row(f"{name}: throttled calls", run.throttled, "", limits.get("throttled")),
        _row(f"{name}: time", run.seconds, "s", None),
        _row(f"{name}: time over the bound", run.seconds / run.bound, "x", limits.get("bound")),
    ]


def _row(name: str, value: float, unit: str, limit: float | None) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": unit, "limit": limit}
