"""Find the Python environment the program needs, or build it, and run the command in it.

In this order: `.venv`, if it was made from the present requirements.txt; the running Python, if everything is
importable in the right version; else a new `.venv`. Standard library only, because nothing else is there yet.
"""

import contextlib
import fcntl
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fleet.management.install.packages import install
from fleet.management.install.requirements import digest, missing, wanted

STAMP = "made-from"  # in `.venv`: the SHA-256 of the requirements.txt it holds, written last
UNFINISHED = "unfinished"  # in `.venv`: while it is built
# In the environment across one exec, so that a strange `.venv` cannot make us run in circles.
SWITCHED = "FLEET_SWITCHED"


def main(*, manage: str, arguments: list[str]) -> None:
    """Run `manage.py` with `arguments` in the right environment; does not return to another one."""
    root = Path(manage).resolve().parent
    try:
        python = _python_for(root)
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


def _python_for(root: Path) -> Path | None:
    """Return the Python to switch to, or None if the running one will do."""
    environment = root / ".venv"
    requirements = root / "requirements.txt"
    inside = Path(sys.prefix).resolve() == environment.resolve()
    if not usable(environment=environment, requirements=requirements):
        if inside:
            sys.exit(
                "requirements.txt has changed since .venv was made. "
                "Leave the environment (deactivate) and start again with python3; it is then made anew."
            )
        if not missing(path=requirements):
            return None
        build(root=root)
    return None if inside else environment / "bin" / "python"


def usable(*, environment: Path, requirements: Path) -> bool:
    """Say whether `.venv` is whole and holds exactly what requirements.txt asks for."""
    if not (environment / "bin" / "python").exists() or (environment / UNFINISHED).exists():
        return False
    stamp = environment / STAMP
    present = digest(path=requirements)
    if stamp.is_file() and stamp.read_text().strip() == present:
        return True
    # Made by hand, or the file changed in nothing that counts.
    folders = [str(path) for path in environment.glob("lib/python*/site-packages")]
    if not folders or missing(path=requirements, folders=folders):
        return False
    with contextlib.suppress(OSError):  # a read-only checkout is looked through on each start
        stamp.write_text(present + "\n")
    return True


def build(*, root: Path) -> None:
    """Make `.venv` anew from requirements.txt; one that is interrupted is not used and made again."""
    environment = root / ".venv"
    requirements = root / "requirements.txt"
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            sys.exit(
                f"This Python has no module {module}, which is needed to install. "
                f"Install it (Debian, Ubuntu: apt-get install python3-venv) and run the same command again."
            )
    with _one_at_a_time(root):
        if usable(environment=environment, requirements=requirements):
            return  # built by the other one, while this one waited
        packages = wanted(path=requirements)
        print(f"First start: installing {len(packages)} packages into {environment}", flush=True)
        shutil.rmtree(environment, ignore_errors=True)
        environment.mkdir()
        (environment / UNFINISHED).touch()
        _run([sys.executable, "-m", "venv", str(environment)], failing="The environment could not be made.")
        install(
            python=environment / "bin" / "python",
            requirements=requirements,
            names={each.name for each in packages},
        )
        (environment / STAMP).write_text(digest(path=requirements) + "\n")
        (environment / UNFINISHED).unlink()


@contextlib.contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    folder = root / "var"
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
    with (folder / "install.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another start is installing; waiting for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], *, failing: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{failing}\n{done.stdout.strip()}")
