"""The emulator's figures, measured on real processes over real HTTP."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.emulator.wire.signature import canonical_query, sign_v1, string_to_sign_v1
from fleet.emulator.wire.times import to_second

MANY, FEW = 100_000, 1_000
NAMED = 100
ROUNDS = 30


@dataclass(frozen=True, slots=True)
class Running:
    """An emulator under measurement: its address, its process, and how many seconds it took to be ready."""

    url: str
    process: "subprocess.Popen[str]"
    seconds: float

    def call(self, action: str, **parameters: str) -> dict[str, Any]:
        """Send one signed call and return its answer."""
        values = {
            "Action": action,
            "Version": "2014-05-26",
            "Format": "JSON",
            "AccessKeyId": "emulator",
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": uuid.uuid4().hex,
            "Timestamp": to_second(time.time()),
            "RegionId": "cn-hangzhou",
            **parameters,
        }
        text = string_to_sign_v1(method="POST", values=values)
        values["Signature"] = sign_v1(secret="emulator-secret", string_to_sign=text)
        request = urllib.request.Request(
            self.url,
            data=canonical_query(values).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def peak_memory(self) -> float:
        """Return the most memory the process ever held, in MiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise OSError("this system does not say how much memory a process held")


@contextmanager
def emulator(*, instances: int) -> Iterator[Running]:
    """Run an emulator of that size for the length of the block."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet.emulator", "--port", "0", "--instances", str(instances)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "ready on " not in line:
            raise RuntimeError(f"The emulator with {instances} instances did not start.")
        yield Running(line.split("ready on ")[1].split()[0], process, time.monotonic() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def figures() -> list[dict[str, Any]]:
    """Measure and return rows of name, value, unit and limit; a value is good when it is at most its limit."""
    with emulator(instances=FEW) as few:
        small = _named_call_seconds(few)
    with emulator(instances=MANY) as many:
        large = _named_call_seconds(many)
        memory = many.peak_memory()
        seeded = many.seconds
    ratio = large / small
    return [
        _row(f"{MANY:,} instances seeded, from start to ready", seeded, "s", 20.0),
        _row(f"DescribeInstances of {NAMED} ids, {FEW:,} instances, median", small * 1000, "ms", None),
        _row(f"DescribeInstances of {NAMED} ids, {MANY:,} instances, median", large * 1000, "ms", None),
        _row("the same, as a multiple", ratio, "x", 3.0),
        _row(f"memory with {MANY:,} instances, peak", memory, "MiB", 1024.0),
    ]


def _row(name: str, value: float, unit: str, limit: float | None) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": unit, "limit": limit}


def _named_call_seconds(running: Running) -> float:
    page = running.call("DescribeInstances", MaxResults=str(NAMED))
    ids = json.dumps([one["InstanceId"] for one in page["Instances"]["Instance"]])
    times = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        answer = running.call("DescribeInstances", InstanceIds=ids, PageSize=str(NAMED))
        times.append(time.monotonic() - began)
        if len(answer["Instances"]["Instance"]) != NAMED:
            raise RuntimeError("The emulator did not return every instance that was named.")
    return statistics.median(times)
