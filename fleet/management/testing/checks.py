"""The checks that run no test: style, types, import contracts, deployment settings, forgotten migrations."""

import os
import secrets
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

AT_ONCE = 2
LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: a command that succeeds or says why not; `environment` is added to the present one."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one check went; `output` is what it said, both streams."""

    name: str
    passed: bool
    seconds: float
    output: str


def all_checks(*, root: Path) -> list[Check]:
    """Return the checks, the longest first."""
    python = sys.executable
    manage = str(root / "manage.py")
    return [
        Check(name="mypy", command=[python, "-m", "mypy", "fleet"]),
        Check(name="import contracts", command=[python, "-c", LINT_IMPORTS]),
        Check(
            name="deployment",
            command=[python, manage, "check", "--deploy", "--fail-level", "WARNING"],
            environment=production(),
        ),
        Check(name="migrations", command=[python, manage, "makemigrations", "--check", "--dry-run"]),
        Check(name="ruff", command=[python, "-m", "ruff", "check", "."]),
    ]


def production() -> dict[str, str]:
    """Return the settings of a production installation, with throw-away secrets."""
    return {
        "FLEET_PRODUCTION": "1",
        "FLEET_HOSTS": "fleet.example.com",
        "FLEET_SECRET_KEY": secrets.token_urlsafe(50),
        "FLEET_SEAL_KEYS": urlsafe_b64encode(os.urandom(32)).decode(),
    }


def run(*, checks: list[Check], root: Path, environment: dict[str, str]) -> Iterator[Outcome]:
    """Run the checks, `AT_ONCE` at a time, and yield each as it ends."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        futures: list[Future[Outcome]] = [pool.submit(_one, check, root, environment) for check in checks]
        for future in as_completed(futures):
            yield future.result()


def report(*, outcomes: Iterator[Outcome], say: Callable[[str], None]) -> list[str]:
    """Say how each check went, with its output if it failed; return the names of the failed."""
    failed = []
    for outcome in outcomes:
        say(f"  {outcome.name:<18} {'passed' if outcome.passed else 'FAILED'} {outcome.seconds:6.1f} s")
        if not outcome.passed:
            failed.append(outcome.name)
            say(outcome.output.rstrip())
    return failed


def _one(check: Check, root: Path, environment: dict[str, str]) -> Outcome:
    begin = time.monotonic()
    done = subprocess.run(
        check.command,
        cwd=root,
        env=environment | check.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Outcome(
        name=check.name,
        passed=done.returncode == 0,
        seconds=time.monotonic() - begin,
        output=done.stdout,
    )
