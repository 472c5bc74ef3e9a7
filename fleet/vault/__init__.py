"""Sealed secrets: passwords for new system disks, keys of webhooks, and sealing everything with a new key."""
