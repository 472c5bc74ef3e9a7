"""The overview and the inbox."""
