"""What `manage.py bench` measures."""
