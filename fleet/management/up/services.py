"""The processes that `up` keeps running: started again when they die, and ended in their order."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fleet.management.processes.child import CannotStart, Process
from fleet.management.processes.guardian import Guardian
from fleet.management.processes.stop_signal import Stop

STEADY_AFTER = 60.0  # seconds of running after which a child that dies is started again at once
LONGEST_PAUSE = 30.0  # seconds between two starts of a child that keeps dying


@dataclass(kw_only=True)
class Service:
    """One of these processes: how to start it, and its turn to be ended (0 is ended first)."""

    name: str
    turn: int
    start: Callable[[], Process]
    process: Process | None = None
    started_at: float = 0.0
    next_at: float = 0.0
    pause: float = field(default=0.0)


class Services:
    """All of these processes."""

    def __init__(self, *, guardian: Guardian, stop: Stop, say: Callable[[str], None]) -> None:
        self._guardian = guardian
        self._stop = stop
        self._say = say
        self._services: dict[str, Service] = {}

    def start(self, service: Service) -> None:
        """Start a service; from now on `watch` keeps it running."""
        self._services[service.name] = service
        service.process = service.start()
        service.started_at = time.monotonic()

    def ended(self, name: str) -> bool:
        """Say whether the service has ended by itself."""
        process = self._services[name].process
        return process is None or process.exit_code is not None

    def watch(self) -> None:
        """Start again what dies, with growing pauses, until somebody asks to stop."""
        while not self._stop.wait(seconds=0.5):
            self._guardian.restart_if_gone()
            # PostgreSQL first: the others need it.
            for service in sorted(self._services.values(), key=lambda each: -each.turn):
                self._restart_if_ended(service)

    def _restart_if_ended(self, service: Service) -> None:
        now = time.monotonic()
        if service.process and service.process.exit_code is not None:
            code = service.process.exit_code
            service.process.clear()
            service.process = None
            lasted = now - service.started_at
            service.pause = 0.0 if lasted > STEADY_AFTER else min(LONGEST_PAUSE, max(1.0, service.pause * 2))
            service.next_at = now + service.pause
            when = f"in {service.pause:.0f} s" if service.pause else "now"
            self._say(f"{service.name} ended by itself ({_how(code)}); starting it again {when}.")
        if service.process is None and now >= service.next_at:
            try:
                self.start(service)
            except CannotStart as refused:
                service.pause = min(LONGEST_PAUSE, max(1.0, service.pause * 2))
                service.next_at = now + service.pause
                self._say(f"{refused}\nTrying again in {service.pause:.0f} s.")

    def stop(self) -> None:
        """End all of them, each with its process group: web, worker, emulator, PostgreSQL."""
        for service in sorted(self._services.values(), key=lambda each: each.turn):
            if service.process:
                service.process.stop()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
