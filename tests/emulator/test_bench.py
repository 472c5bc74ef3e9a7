"""The figures that the emulator is built for, on real processes."""

import pytest

from fleet.emulator.bench import figures


@pytest.mark.process
def test_figures_are_within_their_limits() -> None:
    rows = figures()
    assert {row["unit"] for row in rows} == {"s", "ms", "x", "MiB"}
    limited = [row for row in rows if row["limit"] is not None]
    assert len(limited) == 3
    assert [row for row in limited if not 0 < row["value"] <= row["limit"]] == []
