"""What stands below /__emulator__/: a JSON API that sets and asks, and a page for a person."""
