"""The demo fleet: made from a seed, the same each time."""
