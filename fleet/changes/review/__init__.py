"""Who must agree, to what exactly, what they saw, and what has moved since."""
