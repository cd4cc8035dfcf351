"""Runnable experiments: configs, data, training and figures, run from a checkout."""

from experiments.harness import interrupts

interrupts.during_imports()
