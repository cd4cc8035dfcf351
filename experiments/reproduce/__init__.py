"""Figures of the papers, run, drawn and judged: `python -m experiments.reproduce`."""
