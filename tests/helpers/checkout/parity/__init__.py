"""A whole family in four files: all that a new experiment needs."""
