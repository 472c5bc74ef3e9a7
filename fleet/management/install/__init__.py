"""Finding or building `.venv`. Standard library only: nothing is installed yet when it runs."""
