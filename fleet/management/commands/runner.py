"""`manage.py runner`: the same loop as the worker's ticks, as one plain process."""

import logging
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error, connection

from fleet.management.processes.stop_signal import Stop
from fleet.worker import work

log = logging.getLogger(__name__)
BUDGET = 30.0  # seconds of one turn; within one it stops at the next safe point
IDLE = 1.0  # seconds to wait when a turn found nothing to do


class Command(BaseCommand):
    help = "Run the background work without django-q2, as a standby; together with workers it does no harm."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = Stop()
        while not stop.asked:
            try:
                found = work(BUDGET, stop=lambda: stop.asked)
            except Error as error:
                # The database is away: no intent, so no call. It is asked again.
                log.warning("The database does not answer (%s); the runner waits.", type(error).__name__)
                connection.close()
                found = 0
            if not found:
                stop.wait(seconds=IDLE)
