"""Warm-starting: image classifiers that continue to learn when the data grow."""
