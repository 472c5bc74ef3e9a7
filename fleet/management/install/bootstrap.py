"""Find the Python environment that a command needs, or build it, and run the command in it.

What the program needs to run is listed in requirements.txt, what only its tests need besides in requirements-test.txt.
Taken in this order: `.venv`, if it holds what the command needs; the running Python, if all of it can be imported in the
right version; `.venv` with the tests' packages added; a new `.venv`. Standard library only, because nothing else is there yet.
"""

import contextlib
import fcntl
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fleet.management.install.packages import forget, install
from fleet.management.install.requirements import RUNTIME, TESTS, digest, missing, wanted

TESTING = ("test", "torture", "screenshots")  # the commands that need what is in requirements-test.txt
UNFINISHED = "unfinished"  # in `.venv`: while it is made
# In the environment across one exec, so that a strange `.venv` cannot make us run in circles.
SWITCHED = "FLEET_SWITCHED"


def main(*, manage: str, arguments: list[str]) -> None:
    """Run `manage.py` with `arguments` in the right environment; does not return if that is another one."""
    root = Path(manage).resolve().parent
    try:
        python = _python_for(root, needed(root=root, arguments=arguments))
    except KeyboardInterrupt:
        sys.exit("\nStopped. The next start begins the installation again.")
    if python:
        if os.environ.get(SWITCHED):
            sys.exit(f"{python} is not a working Python. Remove {root / '.venv'} and start again.")
        os.environ[SWITCHED] = "1"
        os.execv(python, [str(python), str(root / "manage.py"), *arguments])
    os.environ.pop(SWITCHED, None)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleet.settings")
    # By name: importable only now.
    importlib.import_module("django.core.management").execute_from_command_line([manage, *arguments])


def needed(*, root: Path, arguments: list[str]) -> list[Path]:
    """Return the requirement files of the command: always that of the program first, that of the tests where it runs them."""
    command = next((each for each in arguments if each != "help"), "")
    return [root / RUNTIME, *([root / TESTS] if command in TESTING else [])]


def _python_for(root: Path, requirements: list[Path]) -> Path | None:
    """Return the Python to switch to, or None if the running one will do."""
    environment = root / ".venv"
    python = environment / "bin" / "python"
    inside = Path(sys.prefix).resolve() == environment.resolve()
    if usable(environment=environment, requirements=requirements):
        return None if inside else python
    if inside and not usable(environment=environment, requirements=requirements[:1]):
        sys.exit(
            f"{RUNTIME} has changed since .venv was made. "
            "Leave the environment (deactivate) and start again with python3; it is then made anew."
        )
    if not inside and not missing(paths=requirements):
        return None
    build(root=root, requirements=requirements)
    return python


def usable(*, environment: Path, requirements: Sequence[Path]) -> bool:
    """Say whether `.venv` is whole and holds exactly what these files ask for."""
    if not (environment / "bin" / "python").exists() or (environment / UNFINISHED).exists():
        return False
    return all(_holds(environment, each) for each in requirements)


def stamp_of(*, environment: Path, requirements: Path) -> Path:
    """Return the file in `.venv` with the SHA-256 of the requirement file whose packages it holds; written last."""
    return environment / f"{requirements.name}.sha256"


def mark_of(*, environment: Path, requirements: Path) -> Path:
    """Return the file that is in `.venv` while the packages of the requirement file are added to it."""
    return environment / f"{requirements.name}.{UNFINISHED}"


def _holds(environment: Path, requirements: Path) -> bool:
    if mark_of(environment=environment, requirements=requirements).exists():
        return False
    stamp = stamp_of(environment=environment, requirements=requirements)
    present = digest(path=requirements)
    if stamp.is_file() and stamp.read_text().strip() == present:
        return True
    # Made by hand, or the file changed in nothing that counts.
    folders = [str(path) for path in environment.glob("lib/python*/site-packages")]
    if not folders or missing(paths=[requirements], folders=folders):
        return False
    with contextlib.suppress(OSError):  # a read-only checkout is looked through on each start
        _stamp(environment, requirements)
    return True


def build(*, root: Path, requirements: Sequence[Path]) -> None:
    """Make `.venv` hold what these files ask for: add what is missing to a whole one, else make it anew.

    An interrupted installation is never used, and is repeated. Exits with a sentence where nothing can be installed.
    """
    environment = root / ".venv"
    with _one_at_a_time(root):
        absent = [each for each in requirements if not usable(environment=environment, requirements=[each])]
        if not absent:
            return  # installed by the other one, while this one waited
        try:
            if requirements[0] in absent:
                _make(environment, requirements)
            else:
                for each in absent:
                    _add(environment, each)
        except OSError as error:
            sys.exit(f"Nothing can be installed into {environment}: {error.strerror} ({error.filename}).")


def _make(environment: Path, requirements: Sequence[Path]) -> None:
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            sys.exit(
                f"This Python has no module {module}, which is needed to install. "
                f"Install it (Debian, Ubuntu: apt-get install python3-venv) and run the same command again."
            )
    names = {each.name for each in wanted(paths=requirements)}
    print(f"First start: installing {len(names)} packages into {environment}", flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    environment.mkdir()
    (environment / UNFINISHED).touch()
    _run([sys.executable, "-m", "venv", str(environment)], failing="The environment could not be made.")
    install(python=environment / "bin" / "python", requirements=requirements, names=names)
    for each in requirements:
        _stamp(environment, each)
    (environment / UNFINISHED).unlink()


def _add(environment: Path, requirements: Path) -> None:
    python = environment / "bin" / "python"
    names = {each.name for each in wanted(paths=[requirements])}
    mark = mark_of(environment=environment, requirements=requirements)
    print(f"Adding the {len(names)} packages that only tests need to {environment}", flush=True)
    if mark.exists():
        forget(python=python, names=names)
    mark.touch()
    install(python=python, requirements=[requirements], names=names)
    _stamp(environment, requirements)
    mark.unlink()


def _stamp(environment: Path, requirements: Path) -> None:
    stamp_of(environment=environment, requirements=requirements).write_text(digest(path=requirements) + "\n")


@contextlib.contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    folder = root / "var"
    try:
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o711)
        file = (folder / "install.lock").open("w")
    except OSError as error:
        sys.exit(f"Nothing can be installed into {root}: {error.strerror} ({error.filename}).")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another start is installing; waiting for it.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str], *, failing: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{failing}\n{done.stdout.strip()}")
