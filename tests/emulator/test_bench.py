"""`manage.py bench emulator`: the figures that the emulator is built for, on real processes, and how they are printed."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from fleet.management.commands import bench


def bench_prints(*options: str) -> str:
    """Run the command and return what it prints."""
    out = StringIO()
    call_command("bench", *options, stdout=out)
    return out.getvalue()


@pytest.mark.process
def test_the_figures_are_measured_and_have_their_limits() -> None:
    """Memory is the same on a busy machine; how long things take is for the bench to say, and for no test."""
    measured = json.loads(bench_prints("emulator", "--json"))
    assert set(measured) == {"bench", "figures"}
    assert measured["bench"] == "emulator"
    assert {row["unit"] for row in measured["figures"]} == {"s", "ms", "x", "MiB"}
    limited = [row for row in measured["figures"] if row["limit"] is not None]
    assert [row["limit"] for row in limited] == [20, 3, 1024]
    assert [row for row in measured["figures"] if row["value"] <= 0] == []
    assert [row for row in limited if row["unit"] == "MiB" and row["value"] > row["limit"]] == []


def test_a_figure_over_its_limit_stands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def figures() -> list[dict[str, Any]]:
        return [
            {"name": "time", "value": 21.5, "unit": "s", "limit": 20.0},
            {"name": "memory in all", "value": 1000, "unit": "MiB", "limit": 1024},
            {"name": "calls", "value": 3, "unit": "", "limit": None},
        ]

    monkeypatch.setitem(bench.BENCHES, "emulator", figures)
    lines = [line.split() for line in bench_prints("emulator").splitlines()]
    assert lines == [
        ["time", "21.5", "s", "OVER", "the", "limit", "of", "20.0", "s"],
        ["memory", "in", "all", "1,000", "MiB", "within", "the", "limit", "of", "1,024", "MiB"],
        ["calls", "3"],
    ]
