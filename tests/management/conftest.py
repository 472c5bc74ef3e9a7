"""Folders that a server of another user may pass through; pytest's own are closed to others."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.support.leftovers import processes_of


@pytest.fixture
def var() -> Iterator[Path]:
    """A folder in the place of `var/`; whatever a failed test leaves running on it is killed."""
    with tempfile.TemporaryDirectory(prefix="fleet-var-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
        for process in processes_of(folder=folder):
            with contextlib.suppress(psutil.NoSuchProcess):  # it may be ending at this very moment
                process.kill()
