"""Everything that `manage.py up` starts and keeps running."""
