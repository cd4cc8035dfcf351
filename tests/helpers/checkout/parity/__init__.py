"""A family of its own in four files: what a new experiment has to bring."""
