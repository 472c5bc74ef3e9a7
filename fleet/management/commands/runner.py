"""`manage.py runner`: the same loop as the worker's ticks, as one plain process."""

from typing import Any

from django.core.management.base import BaseCommand

from fleet.management.stopping import Stop
from fleet.worker import work

BUDGET = 30.0  # seconds of one turn; within one it stops at the next safe point
IDLE = 1.0  # seconds to wait when a turn found nothing to do


class Command(BaseCommand):
    help = "Run the background work without django-q2, as a standby; together with workers it does no harm."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = Stop()
        while not stop.asked:
            if not work(BUDGET, stop=lambda: stop.asked):
                stop.wait(seconds=IDLE)
