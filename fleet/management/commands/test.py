"""`manage.py test`: every check and every test; with arguments, pytest with these and nothing else.

Tests run on several processes at once, unless one test alone is asked for, or what only one process can do: stop at the
first failure, a debugger, no capture. Whoever gives `-n` decides himself.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, Any

from django.conf import settings
from django.core.management.base import BaseCommand

from fleet.management.postgres.server import EmbeddedPostgres
from fleet.management.processes.child import CannotStart, clean_environment
from fleet.management.processes.guardian import Guardian, tied_to_parent
from fleet.management.testing import browser, checks

NO_CHROMIUM = (
    "There is no Chromium here and none could be installed: the browser tests are left out, and the run "
    "counts as failed. Install Chromium, or name one in FLEET_CHROMIUM."
)
FAILED_CHECKS = "FLEET_FAILED_CHECKS"  # read by tests/conftest.py, which repeats it just before the closing line
# One test (file::test), or options of pytest: -x, -s, also within a group such as -qx, -n, and long names.
ALONE = re.compile(
    r"^[^-].*::|^-[qvxsl]*[xs]|^-n|^--(exitfirst|maxfail|capture|pdb|trace|numproc|collect-only|co\b|fixtures)"
)
MOST_PROCESSES = 8  # each has a migrated database and an emulator of its own


class Command(BaseCommand):
    help = "Run all checks and tests; with arguments, pytest with these arguments only."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Pass everything after `test` on to pytest: Django would refuse options that are not its own."""
        sys.exit(run_tests(arguments=argv[2:], say=_say))

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(run_tests(arguments=[str(each) for each in args], say=_say))


def run_tests(
    *,
    arguments: list[str],
    say: Callable[[str], None],
    added: dict[str, str] | None = None,
    output: IO[str] | None = None,
) -> int:
    """Run what `arguments` ask for on a PostgreSQL of its own, and return the exit code.

    `added` goes into the tests' environment; pytest writes to `output`, else to the terminal.
    """
    signal.signal(signal.SIGTERM, _leave)
    with tempfile.TemporaryDirectory(prefix="fleet-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the database's own user must get through
        guardian = Guardian()
        server = EmbeddedPostgres(folder=folder, guardian=guardian, logfile=folder / "postgres.log", durable=False)
        try:
            begin = time.monotonic()
            variables = (added or {}) | {"FLEET_VAR": str(folder), "DATABASE_URL": server.start()}
            environment = clean_environment(without_proxies=True, **variables)
            # Where Python is told to write no bytecode, as in many containers, each of the many processes would
            # compile every module anew.
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            say(f"  {'PostgreSQL':<18} ready  {time.monotonic() - begin:6.1f} s")
            return _run(arguments=arguments, environment=environment, say=say, output=output)
        except CannotStart as refused:
            say(str(refused))
            return 1
        finally:
            server.stop()
            guardian.close()


def spread(*, arguments: list[str], cores: int) -> list[str]:
    """Return pytest's options for several processes, two more than cores; none where one process is to do it all."""
    if cores < 2 or any(ALONE.search(each) for each in arguments):
        return []
    # Two more: the two longest tests wait for other processes most of their time. In the order in which tests/conftest.py
    # puts them, the long ones first; it also says what stays together.
    return ["-n", str(min(cores + 2, MOST_PROCESSES)), "--dist", "loadscope", "--no-loadscope-reorder"]


def _run(
    *, arguments: list[str], environment: dict[str, str], say: Callable[[str], None], output: IO[str] | None
) -> int:
    whole = not arguments
    begin = time.monotonic()
    chromium = browser.find(install=whole, say=say)
    if chromium:
        environment[browser.CHOSEN] = chromium
        say(f"  {'Chromium':<18} found  {time.monotonic() - begin:6.1f} s  {chromium}")
    elif whole:
        say(NO_CHROMIUM)
        arguments = ["-m", "not browser"]
    failed = []
    if whole:
        outcomes = checks.run(checks=checks.all_checks(root=settings.ROOT), root=settings.ROOT, environment=environment)
        failed = checks.report(outcomes=outcomes, say=say)
        environment[FAILED_CHECKS] = ", ".join(failed)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    code = _pytest([*spread(arguments=arguments, cores=cores), *arguments], environment=environment, output=output)
    return code or (1 if failed or (whole and not chromium) else 0)


def _pytest(arguments: list[str], *, environment: dict[str, str], output: IO[str] | None) -> int:
    """Run pytest on this terminal (a debugger works); Ctrl-C reaches pytest directly, which then ends."""
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=settings.ROOT,
            env=environment,
            stdout=output,
            preexec_fn=tied_to_parent(stop_with=signal.SIGTERM),
        )
        try:
            return child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _say(text: str) -> None:
    print(text, flush=True)
