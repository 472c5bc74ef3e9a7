"""HTML: a folder for each screen, with its function views, forms and addresses."""
