"""Sync every account and region now."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.inventory.sync import sync_all
from fleet.lib.clock import DatabaseClock
from fleet.lib.text import count


class Command(BaseCommand):
    help = "Read all machines, disks, images and key pairs of every account and region into the mirror, once."

    def handle(self, **options: Any) -> None:
        failed = 0
        begun = time.monotonic()
        for mirror in sync_all(clock=DatabaseClock()):
            seconds = time.monotonic() - begun
            name = f"{mirror.account} {mirror.region}"
            if mirror.note:
                failed += 1
                self.stdout.write(f"{name}: {mirror.note}")
            else:
                self.stdout.write(f"{name}: {count(mirror.instances, 'machine')} in {seconds:.1f} s")
            begun = time.monotonic()
        if failed:
            raise CommandError(f"{count(failed, 'region')} could not be synced.")
