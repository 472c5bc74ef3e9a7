"""A mirrored fleet on a real emulator, and a clock that stands still until it is moved."""

from datetime import UTC, datetime

import pytest

from fleet.engine import pace
from fleet.lib.clock import ManualClock
from tests.support import fleets
from tests.support.emulator import Emulator


@pytest.fixture
def clock() -> ManualClock:
    pace.forget()  # what this process knows of the test before
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def fleet(db: None, emulator: Emulator) -> Emulator:
    fleets.mirror(emulator)
    return emulator
