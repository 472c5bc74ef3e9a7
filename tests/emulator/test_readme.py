"""What the emulator's README says is so: its tables are the generated ones, and each of its lines runs."""

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable

import pytest

from fleet.emulator import reference
from fleet.emulator.main import add_options
from fleet.emulator.world.faults import KINDS
from tests.emulator.caller import Emulated
from tests.emulator.running import ROOT, running

FOLDER = ROOT / "fleet" / "emulator"
README = (FOLDER / "README.md").read_text()
CONTROL = [line for line in README.splitlines() if line.startswith("curl ") and "$E/" in line]


def asked(line: str) -> tuple[str, str, str | None]:
    """Return method, path and body of a line with curl."""
    words = shlex.split(line, comments=True)
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    body = words[words.index("-d") + 1] if "-d" in words else None
    (address,) = [word for word in words if word.startswith("$E/")]
    return method, address.removeprefix("$E/"), body


@pytest.mark.parametrize(
    "table",
    [reference.actions_table, reference.cases_table, reference.requests_table],
    ids=lambda table: table.__name__,
)
def test_the_tables_are_the_generated_ones(table: Callable[[], list[str]]) -> None:
    assert "\n".join(table()) in README


def test_the_table_of_options_has_each_once() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    rows = re.findall(r"^\| (`--.*?) \|", README, re.MULTILINE)
    documented = re.findall(r"`(--[a-z-]+)`", " ".join(rows))
    assert sorted(documented) == sorted(option for act in parser._actions for option in act.option_strings)


def test_the_table_of_faults_has_each_kind_once() -> None:
    rows = README.split("| kind |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `([a-z_]+)` \|", rows, re.MULTILINE) == list(KINDS)


def test_every_line_of_control_runs() -> None:
    emulated = Emulated.make()
    assert len(CONTROL) >= 25
    for line in CONTROL:
        method, path, body = asked(line)
        answer = emulated.client.open(
            f"/__emulator__/{path}", method=method, data=body, environ_overrides={"REMOTE_ADDR": "127.0.0.1"}
        )
        assert answer.status_code == 200, f"{line}: {answer.text}"


@pytest.mark.process
def test_the_client_of_the_readme_replaces_the_disk_of_the_example() -> None:
    found = re.search(r"<<'PYTHON'\n(.*?)PYTHON\n", README, re.DOTALL)
    assert found
    with running() as emulator:
        program = found[1].replace("127.0.0.1:8787", f"127.0.0.1:{emulator.port}")
        assert program != found[1]
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        disks = emulator.control("GET", "ledger?since=seed")["disks"]
    (replaced,) = disks
    assert (replaced["instance_id"], replaced["image_id"]) == ("i-23jggx34b", "m-myimage11")
    assert replaced["disk_id"] in done.stdout


def test_the_drawing_of_the_rooms_names_what_there_is() -> None:
    drawing = README.split("## How it is built")[1].split("\n\n")[1]
    for name in re.findall(r"(?:^|\s)([a-z_]+(?:/|\.py))(?=\s)", drawing):
        assert (FOLDER / name).exists(), name
    rooms = {f"{path.parent.name}/" for path in FOLDER.glob("*/__init__.py")}
    assert rooms <= set(re.findall(r"[a-z_]+/", drawing))
