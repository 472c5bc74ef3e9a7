"""The page of a draft: the parts of its form at the left, and what follows from them at the right."""
