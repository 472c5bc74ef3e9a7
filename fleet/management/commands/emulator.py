"""`manage.py emulator`: the local ECS endpoint."""

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from fleet.emulator.main import add_options, run


class Command(BaseCommand):
    """Serve the emulated ECS API until somebody asks it to stop."""

    help = "Serve a local endpoint of the ECS API with a demo fleet."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what `python -m fleet.emulator` takes."""
        add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the emulator, and end with its exit code."""
        sys.exit(run(argparse.Namespace(**options)))
