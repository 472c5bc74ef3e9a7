"""`manage.py test`: what it runs, what it says last, and when it counts as failed."""

import os
import re
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest

from fleet.management.commands.test import spread
from fleet.management.testing import browser, checks
from fleet.management.testing.checks import Check
from tests.conftest import WHOLE, SomeFilesWhole

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[3]


def manage_test(*arguments: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "FLEET_VAR")}
    return subprocess.run(
        [sys.executable, "manage.py", "test", *arguments],
        cwd=ROOT,
        env=kept | {"HTTPS_PROXY": "http://127.0.0.1:9", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_arguments_go_to_pytest_and_its_closing_line_is_the_last(tmp_path: Path) -> None:
    (tmp_path / "test_surroundings.py").write_text(
        "import os, psycopg, sys\n"
        "def test_surroundings():\n"
        "    assert 'HTTPS_PROXY' not in os.environ\n"
        "    with psycopg.connect(os.environ['DATABASE_URL']) as connection:\n"
        "        assert connection.execute('SHOW fsync').fetchone() == ('off',)\n"
        "        assert connection.execute('SHOW autovacuum').fetchone() == ('off',)\n"
        "    assert not sys.dont_write_bytecode\n"
        "def test_left_out():\n"
        "    raise AssertionError\n"
    )

    done = manage_test(str(tmp_path), "-q", "-n0", "-k", "surroundings and not left_out")

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"1 passed, 1 deselected in [\d.]+s", done.stdout.splitlines()[-1])
    assert re.search(r"PostgreSQL +ready +[\d.]+ s", done.stdout)
    assert "ruff" not in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["tests/web"],
        ["tests/web/test_base.py", "-q"],
        ["-m", "not browser", "--durations=9"],
        ["-k", "size", "--deselect=a.py::b"],
    ],
)
def test_folders_and_files_run_on_several_processes(arguments: list[str]) -> None:
    assert spread(arguments=arguments, cores=2)[:2] == ["-n", "4"]
    assert spread(arguments=arguments, cores=64)[:2] == ["-n", "8"]
    assert spread(arguments=arguments, cores=1) == []


@pytest.mark.parametrize(
    "arguments", ["tests/a.py::test_b", "-x", "-qx", "-sv", "--pdb", "--maxfail=1", "--capture=no", "-n0", "-n 3"]
)
def test_one_test_a_debugger_or_ones_own_number_of_processes_is_left_alone(arguments: str) -> None:
    assert spread(arguments=["tests/web", *arguments.split()], cores=2) == []


def test_tests_that_share_what_is_dear_to_make_go_to_one_process_together() -> None:
    group = SomeFilesWhole.__new__(SomeFilesWhole)._split_scope
    one, two, other = (f"tests/browser/test_{name}" for name in ("a.py::test_x[1]", "a.py::test_y", "b.py::test_x"))
    assert group(one) == group(two) != group(other)
    assert all((ROOT / each).exists() for each in WHOLE)
    assert group("tests/web/test_a.py::test_x") != group("tests/web/test_a.py::test_y")
    assert "loadscope" in spread(arguments=[], cores=2)


class Process:
    """What a scheduler knows of a process of pytest-xdist."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, tests: list[int]) -> None:
        self.given += tests

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.mark.parametrize("lives", range(8))
def test_what_a_process_that_died_had_not_begun_is_done_by_the_others(lives: int) -> None:
    tests = [f"tests/web/test_a.py::test_{number}" for number in range(12)]
    tests += [f"tests/browser/test_b.py::test_{number}" for number in range(4)]
    scheduler = SomeFilesWhole.__new__(SomeFilesWhole)
    scheduler.log = lambda *_: None
    scheduler.collection = tests
    first, second = processes = [Process(), Process()]
    scheduler.assigned_work = OrderedDict((each, {}) for each in processes)
    scheduler.registered_collections = OrderedDict((each, tests) for each in processes)
    scheduler.workqueue = OrderedDict()
    for test in tests:
        scheduler.workqueue.setdefault(scheduler._split_scope(test), {})[test] = False
    for each in (first, second, first, second):
        scheduler._assign_work_unit(each)
    done: list[int] = []
    crashed = None
    while first.given or second.given:
        if len(done) >= lives and crashed is None:
            crashed = scheduler.remove_node(first)
            assert crashed == tests[first.given[0]]
            first.given.clear()
        for each in processes:
            if each.given:
                done.append(each.given.pop(0))
                scheduler.mark_test_complete(each, done[-1])

    assert sorted([*done, tests.index(str(crashed))]) == list(range(len(tests)))


def test_what_tests_report_and_which_checks_failed_is_said_at_the_end_whatever_process_they_ran_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_FAILED_CHECKS", "bad")
    (tmp_path / "test_both.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('turn', range(2))\n"
        "def test_both(report, worker_id, turn):\n"
        "    report(f'{worker_id} was here')\n"
    )
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")

    done = manage_test(str(tmp_path), "-q", "-n2")

    lines = done.stdout.splitlines()
    assert {"gw0 was here", "gw1 was here", "FAILED before the tests: bad (see above)"} <= set(lines)
    assert lines[-1].startswith("2 passed")


def test_a_failing_test_fails_the_command(tmp_path: Path) -> None:
    (tmp_path / "test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n")

    done = manage_test(str(tmp_path), "-q", "-n0")

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("1 failed")


def test_failed_checks_are_shown_whole(tmp_path: Path) -> None:
    said: list[str] = []
    pair = [
        Check(name="good", command=[sys.executable, "-c", "print('fine')"]),
        Check(
            name="bad",
            command=[sys.executable, "-c", "import os, sys; sys.exit(os.environ['WHY'])"],
            environment={"WHY": "because"},
        ),
    ]

    failed = checks.report(
        outcomes=checks.run(checks=pair, root=tmp_path, environment=dict(os.environ)), say=said.append
    )

    assert failed == ["bad"]
    text = "\n".join(said)
    assert re.search(r"good +passed", text)
    assert re.search(r"bad +FAILED", text)
    assert "because" in text
    assert "fine" not in text


def test_a_named_chromium_goes_first_and_one_that_does_not_start_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(name: str, *, code: int) -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\nexit {code}\n")
        path.chmod(0o755)
        return str(path)

    broken, named, on_path = program("broken", code=1), program("named", code=0), program("chromium", code=0)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

    monkeypatch.setenv(browser.CHOSEN, named)
    assert browser.find(install=False, say=print) == named
    monkeypatch.setenv(browser.CHOSEN, broken)
    assert browser.find(install=False, say=print) == on_path
