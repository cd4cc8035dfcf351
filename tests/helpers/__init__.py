"""Helpers that several test files share, found by `pythonpath` in pyproject.toml."""
