"""How long and from which seed a test works: short in the suite, as told by `manage.py torture`."""

import os

SEED = 20260601  # of the suite, which is to find tomorrow what it finds today


def rounds(default: int) -> int:
    """Return how often a test is to do what it does: `default` in the suite, as told in `torture`."""
    return int(os.environ.get("FLEET_TORTURE_ROUNDS") or default)


def seed() -> int:
    """Return the seed of everything that a test draws at random: one for all runs of the suite, as told in `torture`."""
    return int(os.environ.get("FLEET_TORTURE_SEED") or SEED)
