"""`manage.py screenshots`: take the pictures of the README anew."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from fleet.management.processes.child import CannotStart
from fleet.management.testing import browser, screenshots


class Command(BaseCommand):
    help = "Start a demo of its own, walk to a review and a run, and write a picture of each."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--to", type=Path, default=settings.ROOT / "docs", help="folder to write to (default: %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chromium = browser.find(install=True, say=self.stdout.write)
        if not chromium:
            sys.exit("There is no Chromium here, and none could be installed. Name one with FLEET_CHROMIUM.")
        options["to"].mkdir(parents=True, exist_ok=True)
        try:
            for path in screenshots.take(root=settings.ROOT, folder=options["to"], chromium=chromium):
                self.stdout.write(f"{path}: {path.stat().st_size:,} bytes")
        except CannotStart as refused:
            sys.exit(str(refused))
