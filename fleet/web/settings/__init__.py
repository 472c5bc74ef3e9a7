"""The settings: a page for each thing that administrators decide."""
