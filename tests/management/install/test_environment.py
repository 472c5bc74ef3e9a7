"""How `.venv` comes to hold what a command needs, with a project of two small packages in the place of the real ones.

The program needs `thing`, which has a `django` in it that prints what it can import; its tests need `tool` besides.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.management.install import bootstrap
from fleet.management.install.requirements import RUNTIME, TESTS
from fleet.management.processes.child import wait_for

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[3]
DJANGO = """
import importlib.util, sys
def execute_from_command_line(argv):
    import thing
    tool = "without"
    if importlib.util.find_spec("tool"):
        import tool
        tool = getattr(tool, "VERSION", "in parts")
    print(f"ran {argv[1]}: thing {thing.VERSION}, tool {tool}, in {sys.prefix}")
"""


def wheel(folder: Path, name: str, version: str) -> str:
    """Write a wheel of one small package, and return its line for a requirement file."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if name == "thing":
        files |= {"django/__init__.py": "", "django/core/__init__.py": "", "django/core/management.py": DJANGO}
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Project:
    """A folder with our manage.py and bootstrap, whose packages come from a folder beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder / ".venv"
        self.wheels = folder.parent / "wheels"

    def need(self, *, thing: str = "1.0", tool: str = "1.0") -> None:
        """Write both requirement files."""
        (self.folder / RUNTIME).write_text(wheel(self.wheels, "thing", thing))
        (self.folder / TESTS).write_text(wheel(self.wheels, "tool", tool))

    def start(self, command: str, *, python: str | Path = sys.executable) -> "subprocess.Popen[str]":
        """Start `manage.py command`; the Python that runs this test has none of the packages."""
        return subprocess.Popen(
            [python, self.folder / "manage.py", command],
            env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str, *, python: str | Path = sys.executable, code: int = 0) -> str:
        """Run `manage.py command` to its end, and return all that it says."""
        with self.start(command, python=python) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == code, out + err
        return out + err

    def site(self, name: str) -> Path:
        """Return the one path of that name in the environment's site-packages."""
        (found,) = self.environment.glob(f"lib/python*/site-packages/{name}")
        return found


def _empty(folder: Path) -> Project:
    project = Project(folder / "project")
    (project.folder / "fleet").mkdir(parents=True)
    project.wheels.mkdir()
    (project.folder / "fleet" / "management").symlink_to(ROOT / "fleet" / "management")
    (project.folder / "fleet" / "__init__.py").touch()
    shutil.copy(ROOT / "manage.py", project.folder)
    project.need()
    return project


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """A project as it is cloned."""
    return _empty(tmp_path)


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str, str]:
    """A project after its first start, and what was said: by one that was stopped as it installed, and by the next."""
    project = _empty(tmp_path_factory.mktemp("first"))
    unfinished = project.environment / bootstrap.UNFINISHED
    with project.start("up") as process:
        begun = wait_for(what=unfinished.exists, seconds=60)
        process.send_signal(signal.SIGINT)
        _, stopped = process.communicate(timeout=60)
    assert begun
    assert process.returncode == 1
    assert unfinished.exists()
    return project, stopped, project.run("up")


@pytest.fixture
def project(tmp_path: Path, first_start: tuple[Project, str, str]) -> Project:
    """A copy of the project after its first start, to go on with."""
    shutil.copytree(first_start[0].folder.parent, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Project(tmp_path / "project")


def test_a_first_start_installs_what_the_program_needs_and_nothing_else_and_is_begun_again_when_it_was_stopped(
    first_start: tuple[Project, str, str],
) -> None:
    project, stopped, said = first_start

    assert "Stopped. The next start begins the installation again." in stopped
    assert f"First start: installing 1 packages into {project.environment}" in said
    assert "Installed 1 packages" in said
    assert f"ran up: thing 1.0, tool without, in {project.environment}" in said


def test_the_first_run_of_the_tests_adds_what_they_need_and_each_further_start_nothing(project: Project) -> None:
    thing = project.site("thing").stat().st_mtime_ns

    said = project.run("test")

    assert f"Adding the 1 packages that only tests need to {project.environment}" in said
    assert "Installed 1 packages" in said
    assert f"ran test: thing 1.0, tool 1.0, in {project.environment}" in said
    assert project.site("thing").stat().st_mtime_ns == thing
    for command in ("up", "test", "torture"):
        said = project.run(command)
        assert said.startswith(f"ran {command}: thing 1.0, tool 1.0")


def test_from_within_the_environment_the_tests_packages_are_added_too(project: Project) -> None:
    said = project.run("test", python=project.environment / "bin" / "python")

    assert "Adding the 1 packages" in said
    assert f"ran test: thing 1.0, tool 1.0, in {project.environment}" in said


def test_another_version_of_what_tests_need_replaces_that_alone(project: Project) -> None:
    project.run("test")
    thing = project.site("thing").stat().st_mtime_ns
    project.need(tool="1.1")

    assert project.run("up").startswith("ran up: thing 1.0, tool 1.0")
    said = project.run("test")

    assert "Adding the 1 packages" in said
    assert "ran test: thing 1.0, tool 1.1" in said
    assert project.site("thing").stat().st_mtime_ns == thing
    assert project.site("tool-*.dist-info").name == "tool-1.1.dist-info"


def test_another_version_of_what_the_program_needs_makes_the_environment_anew_and_goes_on_after_a_failure(
    project: Project,
) -> None:
    project.run("test")
    project.need(thing="2.0")
    within = project.run("up", python=project.environment / "bin" / "python", code=1)
    assert within.startswith("requirements.txt has changed since .venv was made. Leave the environment")
    away = (project.wheels / "thing-2.0-py3-none-any.whl").rename(project.folder / "away")

    said = project.run("up", code=1)
    assert "First start: installing 1 packages" in said
    assert "No matching distribution found for thing==2.0" in said
    assert "The next start begins it again." in said
    assert (project.environment / bootstrap.UNFINISHED).exists()

    away.rename(project.wheels / "thing-2.0-py3-none-any.whl")
    said = project.run("up")
    assert "First start: installing 1 packages" in said
    assert "ran up: thing 2.0, tool without" in said
    assert "ran test: thing 2.0, tool 1.0" in project.run("test")


def test_an_interrupted_addition_keeps_nobody_from_starting_and_is_repeated_whole(project: Project) -> None:
    project.run("test")
    tests = project.folder / TESTS
    bootstrap.stamp_of(environment=project.environment, requirements=tests).unlink()
    bootstrap.mark_of(environment=project.environment, requirements=tests).touch()
    # As pip leaves it, killed: the package counts as installed, and half of it is not there.
    (project.site("tool") / "__init__.py").unlink()
    (project.site("tool-1.0.dist-info") / "RECORD").unlink()
    thing = project.site("thing").stat().st_mtime_ns

    assert project.run("up").startswith("ran up: thing 1.0")
    said = project.run("test")

    assert "Adding the 1 packages" in said
    assert "ran test: thing 1.0, tool 1.0" in said
    assert project.site("thing").stat().st_mtime_ns == thing


def test_an_addition_that_fails_says_why_and_is_begun_again(project: Project) -> None:
    (project.folder / TESTS).write_text("no-such-package==0.0.1 \\\n    --hash=sha256:00\n")

    for _ in range(2):
        said = project.run("test", code=1)

        assert "Adding the 1 packages" in said
        assert "No matching distribution found for no-such-package==0.0.1" in said
        assert "The next start begins it again." in said
    assert project.run("up").startswith("ran up: thing 1.0")
    project.need()
    assert "ran test: thing 1.0, tool 1.0" in project.run("test")


@pytest.fixture
def two(empty: Project) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []

    def start(command: str) -> "subprocess.Popen[str]":
        started.append(empty.start(command))
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()


def test_of_two_at_once_one_installs_and_the_other_waits_and_adds_what_it_lacks(
    empty: Project, two: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    first = two("up")
    assert wait_for(what=(empty.environment / bootstrap.UNFINISHED).exists, seconds=30)
    second = two("test")

    said, _ = first.communicate(timeout=120)
    afterwards, _ = second.communicate(timeout=120)

    assert (first.returncode, second.returncode) == (0, 0)
    assert "First start: installing 1 packages" in said
    assert "ran up: thing 1.0" in said
    assert "Another start is installing; waiting for it." in afterwards
    assert "First start" not in afterwards
    assert "Adding the 1 packages" in afterwards
    assert "ran test: thing 1.0, tool 1.0" in afterwards


def test_a_running_python_that_has_everything_is_used_and_nothing_is_written_until_something_lacks(
    project: Project, tmp_path: Path
) -> None:
    project.run("test")
    own = tmp_path / "own"
    shutil.copytree(project.environment, own, symlinks=True)
    shutil.rmtree(project.environment)
    shutil.rmtree(project.folder / "var")
    before = sorted(os.listdir(project.folder))

    for command in ("up", "test"):
        assert project.run(command, python=own / "bin" / "python").startswith(f"ran {command}: thing 1.0, tool 1.0")

    assert sorted(os.listdir(project.folder)) == before
    shutil.rmtree(next(own.glob("lib/python*/site-packages/tool-1.0.dist-info")))
    assert project.run("up", python=own / "bin" / "python").endswith(f"in {own}\n")
    # Tests run before the first start: both files in one go.
    said = project.run("test", python=own / "bin" / "python")
    assert "First start: installing 2 packages" in said
    assert f"ran test: thing 1.0, tool 1.0, in {project.environment}" in said


@pytest.mark.parametrize("command", ["up", "test"])
def test_where_nothing_can_be_written_one_sentence_says_so(project: Project, command: str) -> None:
    if command == "up":
        shutil.rmtree(project.environment)
    shutil.rmtree(project.folder / "var")
    (project.folder / "var").touch()  # root writes into read-only folders, but not into a file

    said = project.run(command, code=1)

    assert said.startswith(f"Nothing can be installed into {project.folder}: ")
    assert "Traceback" not in said
