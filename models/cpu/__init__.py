"""Operators in a form that XLA's CPU backend computes faster.

They do not change a model. `models.layers` and `models.normalization` choose them on a
CPU, and the plain operators everywhere else. `benchmarks/` has the rates.
"""
