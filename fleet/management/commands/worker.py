"""`manage.py worker`: the background work, by django-q2 under a watchdog."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from fleet.management.processes.stop_signal import Stop
from fleet.management.worker.watchdog import Watchdog


class Command(BaseCommand):
    help = "Run the background work: a django-q2 cluster, replaced whole when it stops getting on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--stale",
            type=float,
            default=45.0,
            help="seconds without an executed and acknowledged task after which the cluster is replaced; longer than a tick",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        Watchdog(stale=options["stale"], stop=Stop()).run()
