"""`manage.py up`: the whole program with one command."""

import contextlib
import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from fleet.management.processes.child import CannotStart
from fleet.management.processes.stop_signal import Stop
from fleet.management.up.launch import Launch, UpOptions


class Command(BaseCommand):
    help = "Start Fleet OS: database, emulator, web server and worker; Ctrl-C ends them all."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (only this machine: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port of the site")
        parser.add_argument("--emulator-port", type=int, default=8700, help="port of the emulated cloud")
        parser.add_argument(
            "--speed",
            type=float,
            default=30.0,
            help="how many times faster than real the emulated machines are",
        )
        parser.add_argument("--instances", type=int, help="machines of a new demo fleet")
        parser.add_argument(
            "--no-emulator",
            action="store_true",
            default=os.environ.get("FLEET_NO_EMULATOR") == "1",
            help="start without the emulator and its demo fleet, for real accounts",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        asked = UpOptions(
            root=settings.ROOT,
            folder=settings.VAR.resolve(),
            host=options["host"],
            port=options["port"],
            emulator_port=options["emulator_port"],
            speed=options["speed"],
            instances=options["instances"],
            emulator=not options["no_emulator"],
        )
        try:
            Launch(options=asked, stop=Stop(), say=self._say).run()
        except CannotStart as refused:
            sys.exit(str(refused))

    def _say(self, text: str) -> None:
        # The terminal may be closed by now; everything must still be ended in order.
        with contextlib.suppress(OSError):
            self.stdout.write(text)
            self.stdout.flush()
