"""The tags and filters that every template has."""
