"""What the README says of the emulator is so: its tables are the generated ones, and each of its lines runs."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.emulator import reference
from tests.emulator.caller import Emulated

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
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


def test_every_line_of_control_runs() -> None:
    emulated = Emulated.make()
    assert len(CONTROL) >= 25
    for line in CONTROL:
        method, path, body = asked(line)
        answer = emulated.client.open(
            f"/__emulator__/{path}", method=method, data=body, environ_overrides={"REMOTE_ADDR": "127.0.0.1"}
        )
        assert answer.status_code == 200, f"{line}: {answer.text}"
