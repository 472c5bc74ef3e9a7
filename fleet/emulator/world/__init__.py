"""What exists in the emulated account: resources in their regions, the clock, faults, quotas, the state file."""
