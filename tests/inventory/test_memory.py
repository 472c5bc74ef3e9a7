"""A sync's memory does not grow with the fleet."""

import gc
import tracemalloc

import pytest
from django.db import reset_queries

from fleet.inventory.sync import ask_now, sync_due
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Instance
from tests.support.emulator import Emulator


@pytest.fixture
def emulator(emulator_on_the_wire: Emulator) -> Emulator:
    """One with a memory of its own."""
    return emulator_on_the_wire


def peak(clock: DatabaseClock) -> int:
    ask_now(clock=clock)
    reset_queries()
    gc.collect()
    tracemalloc.start()
    try:
        assert sync_due(clock=clock, budget_seconds=300, pages=10_000).finished == 1
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_is_flat(emulator: Emulator, account: Account, clock: DatabaseClock) -> None:
    emulator.reset(instances=50)
    peak(clock)  # what is loaded and cached once
    peaks = []
    for machines in (600, 1800):
        emulator.call("POST", "reset", {"instances": machines, "regions": ["cn-hangzhou"]})
        peaks.append(peak(clock))
        assert Instance.objects.present().count() == machines
    small, large = peaks
    assert large < small * 1.25, f"{small:,} bytes for 600 machines, {large:,} for 1,800"
