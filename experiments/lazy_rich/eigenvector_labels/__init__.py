"""A committee machine whose labels are an eigenvector of its initial kernel."""
