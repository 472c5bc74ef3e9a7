"""`manage.py torture NAME`: tests of the suite, for much longer and from another seed each time.

    manage.py torture rollout                       # 200 kills, from a seed that it draws and prints first
    manage.py torture rollout --rounds 20 --seed 7  # the same again, shorter
    manage.py torture forms --json                  # one JSON object on the standard output, pytest's words beside it

It is the code of the suite, run by the machinery of `manage.py test`: a test asks tests/support/torture.py how many rounds
to go and for its seed. Exit code 0 if nothing was found, else pytest's own; 1 for what cannot be run.
"""

import json
import secrets
import sys
import tempfile
import time
from argparse import ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.management.commands.test import run_tests


@dataclass(frozen=True, kw_only=True)
class Torture:
    """A file of tests below the project's root, what one round of it is, and how many a long run has."""

    path: str
    rounds: int
    of: str


TORTURES = {
    "forms": Torture(path="tests/torture/test_forms.py", rounds=100_000, of="hostile submissions of forms"),
    "rollout": Torture(path="tests/torture/test_rollout.py", rounds=200, of="kills during a rollout"),
    "queue": Torture(path="tests/torture/test_queue.py", rounds=10, of="kills of each process of the task queue"),
    "model": Torture(
        path="tests/engine/protocol/test_model.py", rounds=100_000_000_000, of="schedules of the replacement protocol"
    ),
}


class Command(BaseCommand):
    """Print the seed, run, and say what came of it."""

    help = "Run tests of the suite for much longer, from another seed each time: kills, faults, hostile forms."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the name of a torture, its length, its seed, and the form of the output."""
        lengths = ", ".join(f"{name} ({each.rounds:,} {each.of})" for name, each in TORTURES.items())
        parser.add_argument("name", choices=sorted(TORTURES), help=f"what to run: {lengths}")
        parser.add_argument("--rounds", type=_count, help="how many rounds instead")
        parser.add_argument("--seed", type=_count, help="the seed of an earlier run, to repeat it")
        parser.add_argument("--json", action="store_true", help="print one JSON object, and all else as errors")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the tests in a child, and exit with its code if it is not 0."""
        name, torture = options["name"], TORTURES[options["name"]]
        if not (settings.ROOT / torture.path).is_file():
            raise CommandError(f"There is nothing to run for {name} here: {torture.path} is missing.")
        rounds = options["rounds"] or torture.rounds
        seed = options["seed"] or secrets.randbelow(2**31 - 1) + 1
        out = self.stderr if options["json"] else self.stdout
        out.style_func = None
        out.write(f"torture {name}: {rounds:,} {torture.of}, seed {seed}")
        out.flush()
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fleet-torture-") as folder:
            results = Path(folder) / "results.xml"
            code = run_tests(
                # One process: nothing beside it, and the same order every time. xunit1 has room for what tests report.
                arguments=[torture.path, "-n0", f"--junitxml={results}", "-o", "junit_family=xunit1"],
                say=out.write,
                added={"FLEET_TORTURE_ROUNDS": str(rounds), "FLEET_TORTURE_SEED": str(seed)},
                output=sys.stderr if options["json"] else None,
            )
            tests = _outcomes(results)
        if options["json"]:
            result = {"torture": name, "rounds": rounds, "seed": seed, "seconds": round(time.monotonic() - begin, 1)}
            self.stdout.write(json.dumps(result | {"passed": code == 0, "tests": tests}))
        elif code:
            self.stdout.write(f"To repeat it: python3 manage.py torture {name} --rounds {rounds} --seed {seed}")
        if code:
            sys.exit(code)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 2**63:
        raise ArgumentTypeError(f"{text} is not a number from 1 on.")
    return int(text)


def _outcomes(results: Path) -> list[dict[str, Any]]:
    """Return each test's name, outcome, seconds and what it reported; none if pytest did not come to its end."""
    if not results.is_file():
        return []
    return [
        {
            "name": f"{case.get('classname')}.{case.get('name')}",
            "outcome": next((each.tag for each in case if each.tag in ("failure", "error", "skipped")), "passed"),
            "seconds": float(case.get("time", 0)),
            "reported": [each.get("value") for each in case.iter("property") if each.get("name") == "reported"],
        }
        for case in ElementTree.parse(results).iter("testcase")
    ]
