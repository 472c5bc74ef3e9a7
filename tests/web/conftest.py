"""What the tests of pages over a mirrored fleet share: its clock, its operator's browser, a draft of three, a run halfway."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from fleet.lib.clock import ManualClock
from fleet.models import Change, Image
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.support.mirrored import MirroredFleets
from tests.support.people import signed_in
from tests.web.change.drafts import drafted
from tests.web.change.runs import halfway_run


@pytest.fixture
def clock() -> ManualClock:
    # The pages take the database's time; the worker of these tests comes a little later.
    return ManualClock(datetime.now(UTC) + timedelta(seconds=30))


@pytest.fixture
def fleet(db: None, emulator_here: Emulator, mirrored_fleets: MirroredFleets) -> Iterator[Emulator]:
    with mirrored_fleets.of(emulator_here, instances=90):  # enough for these tests
        yield emulator_here


@pytest.fixture
def operator(fleet: Emulator) -> Client:
    return signed_in(fleets.person("operator"))


@pytest.fixture
def ubuntu(fleet: Emulator) -> Image:
    return fleets.image_named("Ubuntu 24.04")


@pytest.fixture
def draft(fleet: Emulator) -> Change:
    return drafted(fleets.plain(3))


@pytest.fixture
def halfway(fleet: Emulator, clock: ManualClock) -> Change:
    return halfway_run(clock)
