"""What XLA's CPU backend computes faster if it is written in another way.

Nothing here changes a model: `models.layers` and `models.normalization` choose these on
a CPU, and the plain operators everywhere else. `benchmarks/` has the rates.
"""
