"""Runnable experiments: configs, data, training and figures, run from a checkout."""
