"""The emulator as its own process, and what tests tell it and ask it over its control API."""

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.management.processes.child import clean_environment, spawn, tail, wait_for
from fleet.management.processes.guardian import Guardian

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"Emulator ready on (?P<url>http://[\d.]+:(?P<port>\d+))")
# Not by a proxy of the machine's environment: the emulator is on loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A running emulator; errors of the control API are raised as `urllib.error.HTTPError`."""

    url: str
    port: int
    access_key_id: str = "emulator"
    access_key_secret: str = "emulator-secret"

    def reset(self, **fleet: Any) -> None:
        """Seed the fleet anew and forget calls, faults, tokens, quotas; durations are 0 then.

        `fleet`: instances, seed, regions (a list of ids), plain (every machine a running x86 Linux web server).
        """
        # Said each time: the emulator would go on with the numbers of the test before.
        self.call("POST", "reset", {"instances": 300, "seed": 1} | fleet)
        self.call("PUT", "quotas", {"ReplaceSystemDisk": 200})
        self.durations(stop=0, start=0, replace=0, snapshot=0, image=0, command=0)

    def patch_instance(self, instance_id: str, **fields: Any) -> dict[str, Any]:
        """Change fields of an instance, hidden states included, behind the API's back."""
        return self.call("PATCH", f"instances/{instance_id}", fields)

    def patch_image(self, image_id: str, **fields: Any) -> dict[str, Any]:
        """Change fields of an image behind the API's back."""
        return self.call("PATCH", f"images/{image_id}", fields)

    def delete_image(self, image_id: str) -> None:
        """Let an image vanish."""
        self.call("DELETE", f"images/{image_id}")

    def durations(self, **seconds: float) -> None:
        """Set how long things take: stop, start, replace, snapshot, image, command; seconds, 0 means at once."""
        self.call("PUT", "durations", seconds)

    def faults(self, *faults: dict[str, Any]) -> None:
        """Plan faults instead of those planned before: kind, action, instance, nth, times, code, status, ..."""
        self.call("DELETE", "faults")
        for fault in faults:
            self.call("POST", "faults", fault)

    def journal(self, **filters: str) -> list[dict[str, Any]]:
        """Return every call so far, oldest first; `filters` are equalities (action="StopInstance")."""
        entries = self.call("GET", "journal")["entries"]
        return [each for each in entries if all(each.get(name) == value for name, value in filters.items())]

    def ledger(self) -> dict[str, Any]:
        """Return every disk ever made (`disks`) and each machine's effective login (`logins`)."""
        return self.call("GET", "ledger")

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the control API, and return its answer's JSON."""
        request = urllib.request.Request(
            f"{self.url}/__emulator__/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with _opener.open(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def emulator_process(*, folder: Path, guardian: Guardian, options: tuple[str, ...] = ()) -> Iterator[Emulator]:
    """Start an emulator on a free port, yield it when it is ready, and end it."""
    log = folder / "emulator.log"
    process = spawn(
        name="emulator",
        command=[sys.executable, "-m", "fleet.emulator", "--port", "0", *options],
        guardian=guardian,
        log=log,
        environment=clean_environment(without_proxies=True),
        folder=ROOT,
    )
    try:
        wait_for(what=lambda: bool(READY.search(tail(path=log))) or process.exit_code is not None, seconds=30)
        ready = READY.search(tail(path=log))
        assert ready, f"the emulator did not start: {tail(path=log)}"
        yield Emulator(url=ready["url"], port=int(ready["port"]))
    finally:
        process.stop()
