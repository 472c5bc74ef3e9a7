"""The shape of the house."""

import ast
import importlib
import math
import pkgutil
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings

from fleet.cloud.transport import CALL_TIMEOUT, REPLACE_TIMEOUT
from fleet.engine.batch import LEASE_SECONDS
from fleet.engine.graph import GRAPH, check
from fleet.engine.results import State
from fleet.management.install.requirements import RUNTIME, TESTS
from fleet.worker import TICK_SECONDS

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "fleet").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "manage.py"])
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PAGES = sorted([*(ROOT / "fleet" / "web").rglob("*.py"), *(ROOT / "static").rglob("*.js")])
SLEEP = re.compile(r"(?<![.\w])(?:time\.)?sleep\(")


def test_files_stay_under_300_lines() -> None:
    sources = [path for path in SOURCES if path.parent.name != "migrations"]
    shown = [path for folder in ("static", "templates") for path in (ROOT / folder).rglob("*.*")]
    paths = [*sources, *shown]
    assert {path.suffix for path in paths} >= {".py", ".css", ".js", ".html"}
    assert not [path for path in paths if len(path.read_text().splitlines()) > 300]


def test_a_theme_changes_colours_alone() -> None:
    """What tests/support/browser.py relies on, which asks the dark theme for its colours only."""
    sheets = [path.read_text() for path in (ROOT / "static").rglob("*.css")]
    assert not [each for each in [*sheets, *(path.read_text() for path in TEMPLATES)] if "prefers-color-scheme" in each]
    rules = [rule.strip() for sheet in sheets for rule in re.findall(r"data-theme[^{}]*\{([^}]*)\}", sheet)]
    assert rules == ["color-scheme: light;", "color-scheme: dark;"]


def test_every_package_says_what_it_holds() -> None:
    packages = [path for path in (ROOT / "fleet").rglob("__init__.py") if path.parent.name != "migrations"]
    assert len(packages) > 30
    assert [str(path) for path in packages if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_templates_hold_no_inline_style_or_script() -> None:
    inline = re.compile(r"\sstyle=|\son[a-z]+=|<style|<script>|javascript:|hx-on")
    paths = list((ROOT / "templates").rglob("*.html"))
    assert paths
    assert not [path for path in paths if inline.search(path.read_text())]


def test_tests_do_not_sleep() -> None:
    paths = [path for path in (ROOT / "tests").rglob("test_*.py") if "management" not in path.parts]
    assert paths
    assert not [path for path in paths if SLEEP.search(path.read_text())]


def test_the_numbers_of_the_queue_fit_together() -> None:
    queue = settings.Q_CLUSTER
    assert TICK_SECONDS < 30 < queue["timeout"]
    prefetched = math.ceil((queue["queue_limit"] + queue["bulk"]) / queue["workers"])
    assert queue["retry"] > (queue["timeout"] + 3) * (1 + prefetched)
    assert (queue["queue_limit"], queue["bulk"], queue["max_attempts"]) == (1, 1, 1)
    assert queue["ack_failures"]
    assert queue["save_limit"] == -1
    assert queue["guard_cycle"] in (0.25, 0.5, 1)
    assert not queue["catch_up"]
    assert settings.DATABASES["default"]["CONN_HEALTH_CHECKS"]


def test_a_lease_outlasts_the_reading_the_call_and_what_is_kept_in_reserve() -> None:
    assert LEASE_SECONDS >= 2 * CALL_TIMEOUT + REPLACE_TIMEOUT + 5


def test_the_queue_has_no_admin() -> None:
    assert "django.contrib.admin" not in settings.INSTALLED_APPS


def test_no_file_names_a_registry_or_a_path_of_a_machine() -> None:
    for name in (RUNTIME, TESTS):
        lock = (ROOT / name).read_text()
        assert not re.search(r"index-url|find-links|https?://", lock)
        assert lock.count("--hash=sha256:") > 80
        assert all("==" in line for line in lock.splitlines() if line and line[0] not in " #")


def test_every_state_is_reached_and_left() -> None:
    check(GRAPH)
    broken = dict(GRAPH)
    del broken[State.VERIFYING]
    with pytest.raises(ValueError, match="Each state"):
        check(broken)


def test_the_version_is_that_of_the_newest_entry_of_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^### (\S+)", (ROOT / "README.md").read_text().split("## Changelog")[1], re.MULTILINE)
    assert newest
    assert newest[1] == version


def test_a_machine_moves_through_one_door_alone() -> None:
    """No module but `engine/moves` appends to the history of a machine, or writes its state beside it."""
    doors = set()
    for path in (ROOT / "fleet").rglob("*.py"):
        module = path.relative_to(ROOT / "fleet").as_posix()
        if module.startswith(("migrations/", "management/benches/")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                appends = called == "Transition" or called.startswith("Transition.objects.")
                writes = called.endswith(".update") and any(given.arg == "state" for given in node.keywords)
                if writes or (appends and not called.endswith(".filter")):
                    doors.add(module)
    assert doors == {"engine/moves.py"}


def test_nobody_above_engine_and_inventory_holds_a_name_of_the_cloud_client() -> None:
    """Not even one that a module between hands on: the contract of the imports sees direct ones alone."""
    rooms = ("web", "administration", "notices", "changes", "guards", "vault")
    above = [f"fleet.{name}" for name in rooms]
    names = [
        found.name for room in rooms for found in pkgutil.walk_packages([str(ROOT / "fleet" / room)], f"fleet.{room}.")
    ]
    assert len(names) > 100
    handed_on = {
        f"{module}.{name}"
        for module in [*above, *names]
        for name, value in vars(importlib.import_module(module)).items()
        if str(getattr(value, "__module__", None) or getattr(value, "__name__", "")).startswith("fleet.cloud")
    }
    assert not handed_on


def test_no_folder_holds_more_modules_than_one_takes_in_at_a_glance() -> None:
    free = ("migrations", "commands")  # numbered by Django, and one a command by its rules
    modules = Counter(path.parent for path in SOURCES if path.name != "__init__.py" and path.parent.name not in free)
    assert len(modules) > 30
    assert not {str(folder): number for folder, number in modules.items() if number > 16}


def test_templates_lie_in_folders_by_screen_and_their_lines_can_be_reviewed() -> None:
    assert TEMPLATES
    assert not [path for path in TEMPLATES if path.parent == ROOT / "templates"]
    long = [(path, line) for path in TEMPLATES for line in path.read_text().splitlines() if len(line) > 160]
    assert not long


def test_every_template_is_rendered_extended_or_included() -> None:
    text = "".join(path.read_text() for path in [*PAGES, *TEMPLATES])
    named = set(re.findall(r'"(\w+/\w+\.html)[#"]', text))
    assert named
    assert not {str(path.relative_to(ROOT / "templates")) for path in TEMPLATES} - named


def test_modules_that_templates_name_in_comments_exist() -> None:
    comments = "".join(comment for path in TEMPLATES for comment in re.findall(r"\{#.*?#\}", path.read_text()))
    named = set(re.findall(r"\bfleet(?:\.[a-z_]+)+", comments))
    assert named
    paths = {name: ROOT / name.replace(".", "/") for name in named}
    assert not [name for name, path in paths.items() if not (path.is_dir() or path.with_suffix(".py").exists())]


def test_every_class_of_the_stylesheets_is_set_somewhere() -> None:
    styled: set[str] = set()
    for sheet in (ROOT / "static").rglob("*.css"):
        rules = re.sub(r"/\*.*?\*/|\"[^\"]*\"", "", sheet.read_text(), flags=re.DOTALL)
        styled |= {
            name
            for selector in re.findall(r"[^{};]+(?=\{)", rules)
            for name in re.findall(r"\.([a-z][\w-]*)", selector)
        }
    assert styled
    text = "".join(path.read_text() for path in TEMPLATES)
    attributes = re.findall(r'class="((?:\{%.*?%\}|\{\{.*?\}\}|[^"])*)"', text)
    attributes += re.findall(r"\{% block page_class %\}([\w -]+)\{%", text)
    beginnings = tuple(each for attribute in attributes for each in re.findall(r"([\w-]+-)\{\{", attribute))
    set_by_templates = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", " ".join(attributes))
    set_by_tags = " ".join(each for tag in re.findall(r"\{%(.*?)%\}", text) for each in re.findall(r'"([\w -]+)"', tag))
    set_by_code = " ".join(
        each for path in PAGES for each in re.findall(r"[\"'=]([a-z][\w -]*)[\"' ]", path.read_text())
    )
    known = set(f"{set_by_templates} {set_by_tags} {set_by_code}".split())
    assert not {name for name in styled - known if not name.startswith(beginnings)}
