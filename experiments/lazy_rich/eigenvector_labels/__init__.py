"""A committee machine on labels that are an eigenvector of its initial kernel."""
