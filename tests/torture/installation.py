"""A whole installation of processes that can be killed: durable PostgreSQL, emulator with a state file, web, workers, runner."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import psutil  # type: ignore[import-untyped]
from django.conf import settings
from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connections

from fleet.management.postgres.server import EmbeddedPostgres
from fleet.management.processes.child import Process, clean_environment, free_port, spawn, tail, wait_for
from fleet.management.processes.guardian import Guardian
from tests.support import databases
from tests.support.emulator import Emulator

T = TypeVar("T")
LEASE_SECONDS = "30"
TICK_SECONDS = "4"
STALE = "15"  # three ticks; and a cluster has to start in it, on a machine that is busy with other tests


class Installation:
    """Every process by its name. What is killed is started again by `mend`, as a service manager would."""

    def __init__(self, *, folder: Path, guardian: Guardian, server: EmbeddedPostgres, url: str) -> None:
        self._folder, self._guardian, self._server = folder, guardian, server
        self.url = url
        self.port, web = free_port(), free_port()
        self.emulator = Emulator(url=f"http://127.0.0.1:{self.port}", port=self.port)
        manage = str(settings.ROOT / "manage.py")
        self.commands: dict[str, list[str]] = {
            "emulator": ["-m", "fleet.emulator", "--port", str(self.port), "--state", str(folder / "cloud.sqlite")],
            "worker-1": [manage, "worker", "--stale", STALE],
            "worker-2": [manage, "worker", "--stale", STALE],
            "runner": [manage, "runner"],
            "web": ["-m", "gunicorn", "fleet.wsgi:application", "--bind", f"127.0.0.1:{web}", "--log-level", "error"],
        }
        self.processes: dict[str, Process] = {}

    def start(self, *names: str) -> None:
        for name in names:
            self.processes[name] = spawn(
                name=name,
                command=[sys.executable, *self.commands[name]],
                guardian=self._guardian,
                log=self._folder / f"{name}.log",
                environment=clean_environment(
                    without_proxies=True,
                    DATABASE_URL=self.url,
                    FLEET_VAR=str(self._folder),
                    FLEET_SECRET_KEY=settings.SECRET_KEY,
                    FLEET_SEAL_KEYS=" ".join(settings.SEAL_KEYS),
                    FLEET_LEASE_SECONDS=LEASE_SECONDS,
                    FLEET_TICK_SECONDS=TICK_SECONDS,
                ),
                folder=settings.ROOT,
            )
            if name == "emulator":
                assert wait_for(what=self._answers, seconds=30), self.log(name)

    def kill(self, name: str, rng: Random) -> str:
        """Kill with SIGKILL, and say what: the process of that name, or of a worker any one that it has."""
        if name == "postgres":
            assert self._server.process
            os.kill(self._server.process.pid, signal.SIGKILL)
            self._server.process.clear()
            self._server.start()
            connections.close_all()
            return "PostgreSQL"
        process = psutil.Process(self.processes[name].pid)
        with suppress(psutil.NoSuchProcess):
            every = [process, *process.children(recursive=True)]
            chosen = rng.choice(every) if name.startswith("worker") else process
            chosen.kill()
            if chosen == process:
                assert wait_for(what=lambda: self.processes[name].exit_code is not None, seconds=10)
            return f"{name}, process {every.index(chosen) + 1} of {len(every)}"
        return f"{name}, which had just ended"

    def mend(self) -> None:
        """Start again what has ended."""
        for name, process in list(self.processes.items()):
            if process.exit_code is not None:
                process.clear()
                self.start(name)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()

    def log(self, name: str) -> str:
        return tail(path=self._folder / f"{name}.log", lines=40)

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{self.log(name)}" for name in self.commands)

    def _answers(self) -> bool:
        try:
            self.emulator.call("GET", "health")
        except (OSError, json.JSONDecodeError):
            return False
        return True


@contextmanager
def installed(*, folder: Path, guardian: Guardian) -> Iterator[Installation]:
    """Yield a fresh installation of which the emulator runs; Django of this process is pointed at its database.

    The database keeps what was committed when its server is killed, as that of the other tests need not.
    """
    folder.mkdir(mode=0o711)
    server = EmbeddedPostgres(folder=folder, guardian=guardian, logfile=folder / "postgres.log")
    described: dict[str, Any] = settings.DATABASES["default"]
    before, outside = dict(described), os.environ.get("DATABASE_URL")
    installation = None
    try:
        url = server.start()
        connections.close_all()
        databases.point_django_at(url=url)
        os.environ["DATABASE_URL"] = url
        call_command("migrate", verbosity=0)
        installation = Installation(folder=folder, guardian=guardian, server=server, url=url)
        installation.start("emulator")
        yield installation
    finally:
        if installation:
            installation.stop()
        connections.close_all()
        server.stop()
        described.update(before)
        for each in connections.all(initialized_only=True):
            each.settings_dict.update(before)
        if outside is None:
            os.environ.pop("DATABASE_URL", None)
        else:
            os.environ["DATABASE_URL"] = outside


def patiently(ask: Callable[[], T]) -> T:
    """Return what `ask` says, asking anew on a fresh connection while the database comes back."""
    for _ in range(50):
        try:
            return ask()
        except (OperationalError, InterfaceError):
            connections.close_all()
            wait_for(what=lambda: False, seconds=0.2)
    return ask()
