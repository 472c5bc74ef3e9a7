"""What `manage.py test` does besides pytest: finding a browser, and the checks of style, types and imports."""
