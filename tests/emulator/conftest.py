"""An emulator inside the test, with a clock that the test moves, and a signer written from the vendor's text."""

from collections.abc import Callable

import pytest

from tests.emulator.caller import Emulated

Make = Callable[..., Emulated]
MACHINES = 120


@pytest.fixture
def make() -> Make:
    """Make emulators inside the test: instances, edition, durations and the rest of the settings may be given."""
    return Emulated.make


@pytest.fixture(scope="session")
def _shared() -> Emulated:
    return Emulated.make(instances=MACHINES)


@pytest.fixture
def emu(_shared: Emulated) -> Emulated:
    """An emulator with a fresh fleet, edition 2018, and durations of 30, 60 and 40 s."""
    _shared.fresh(instances=MACHINES)
    return _shared
