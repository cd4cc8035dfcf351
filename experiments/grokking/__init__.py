"""Grokking in modular arithmetic: `python -m experiments.grokking --help`."""
