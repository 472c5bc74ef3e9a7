"""The audit trail: the registry of acts, appending to it, and verifying that nobody changed it."""
