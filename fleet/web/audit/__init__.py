"""The audit trail on a page, and as a file."""
