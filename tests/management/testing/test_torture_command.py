"""`manage.py torture`: the seed comes first and repeats a run; a failure is a failure; what is missing is a sentence."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.management.commands import torture as torture_command
from fleet.management.commands.torture import TORTURES, Command

ROOT = Path(__file__).resolve().parents[3]
# With a torture that is not the project's: the path of its file is the first argument.
MANAGE = """
import sys
import django
from django.core.management import execute_from_command_line
django.setup()
from fleet.management.commands import torture
torture.TORTURES["forms"] = torture.Torture(path=sys.argv[1], rounds=7000, of="tries")
execute_from_command_line(["manage.py", "torture", *sys.argv[2:]])
"""
DRAWS = """
import random
from tests.support.torture import rounds, seed
def test_draws(record_property):
    drawn = f"{rounds(3)} rounds, drew {random.Random(seed()).random()}"
    record_property("reported", drawn)
    assert rounds(3) != 13, drawn
"""

pytestmark = pytest.mark.process


@pytest.fixture
def draws(tmp_path: Path) -> Path:
    """A file with a test that reports its rounds and what it drew, and fails at 13 rounds."""
    path = tmp_path / "test_draws.py"
    path.write_text(DRAWS)
    return path


def torture(path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    outside = ("DATABASE_URL", "FLEET_VAR", "FLEET_TORTURE_ROUNDS", "FLEET_TORTURE_SEED")
    kept = {name: value for name, value in os.environ.items() if name not in outside}
    return subprocess.run(
        [sys.executable, "-c", MANAGE, str(path), *arguments],
        cwd=ROOT,
        env=kept | {"DJANGO_SETTINGS_MODULE": "fleet.settings", "FLEET_VAR": str(path.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_torture_runs_a_file_that_there_is() -> None:
    assert [each.path for each in TORTURES.values() if not (ROOT / each.path).is_file()] == []


def test_the_seed_comes_first_and_repeats_what_was_drawn(draws: Path) -> None:
    first = torture(draws, "forms", "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert first.stderr.splitlines()[0] == f"torture forms: 7,000 tries, seed {told['seed']}"
    assert (told["torture"], told["rounds"], told["passed"]) == ("forms", 7000, True)
    (test,) = told["tests"]
    assert (test["name"].split(".")[-1], test["outcome"]) == ("test_draws", "passed")
    drawn = test["reported"][0].removeprefix("7000 rounds, ")
    assert drawn.startswith("drew 0.")

    again = torture(draws, "forms", "--rounds", "13", "--seed", str(told["seed"]))
    assert again.returncode == 1
    lines = again.stdout.splitlines()
    assert lines[0] == f"torture forms: 13 tries, seed {told['seed']}"
    assert f"13 rounds, {drawn}" in again.stdout
    assert re.match(r"=+ 1 failed in ", lines[-2])
    assert lines[-1] == f"To repeat it: python3 manage.py torture forms --rounds 13 --seed {told['seed']}"

    another = torture(draws, "forms", "--rounds", "13", "--json")
    told = json.loads(another.stdout)
    assert (another.returncode, told["passed"]) == (1, False)
    (test,) = told["tests"]
    assert test["outcome"] == "failure"
    assert not test["reported"][0].endswith(drawn)


def test_what_is_missing_is_a_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "test_gone.py"

    gone = torture(missing, "forms")
    assert gone.returncode == 1
    assert gone.stderr.strip().endswith(f"There is nothing to run for forms here: {missing} is missing.")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        *(
            (["forms", f"--rounds={wrong}"], f"{wrong} is not a number from 1 on.")
            for wrong in ("0", "-3", "many", "٣")
        ),
        (["feet"], "invalid choice: 'feet'"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.setattr(torture_command, "run_tests", lambda **_: pytest.fail("it was run"))
    with pytest.raises(SystemExit) as refused:
        Command().run_from_argv(["manage.py", "torture", *arguments])
    assert refused.value.code == 2
    assert sentence in capsys.readouterr().err
