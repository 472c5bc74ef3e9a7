"""`manage.py bench NAME`: the figures the program is built for, measured on this machine."""

import json
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from fleet.emulator import bench as emulator
from fleet.management.benches import planning, review, rollout

# Each returns rows of name, value, unit and limit; a value is good at or below its limit, None is no limit.
BENCHES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "emulator": emulator.figures,
    "planning": planning.figures,
    "review": review.figures,
    "rollout": rollout.figures,
}


class Command(BaseCommand):
    """Measure, and print a table or one JSON object."""

    help = "Measure figures against their limits; a figure over its limit is marked, and is not an error."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the name of a bench, and the form of the output."""
        parser.add_argument("name", choices=sorted(BENCHES), help="what to measure")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure, then print."""
        figures = BENCHES[options["name"]]()
        if options["json"]:
            self.stdout.write(json.dumps({"bench": options["name"], "figures": figures}))
            return
        width = max(len(row["name"]) for row in figures)
        for row in figures:
            self.stdout.write(f"{row['name']:<{width}}  {_measured(row):>14}  {_against_limit(row)}".rstrip())


def _measured(row: dict[str, Any]) -> str:
    return f"{row['value']:,} {row['unit']}"


def _against_limit(row: dict[str, Any]) -> str:
    if row["limit"] is None:
        return ""
    sign = "within" if row["value"] <= row["limit"] else "OVER"
    return f"{sign} the limit of {row['limit']:,} {row['unit']}"
