"""The commands of manage.py: each reads its options and calls the room that does the work."""
