"""The embedded PostgreSQL: where it lives, and its start and stop."""
