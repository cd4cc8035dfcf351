"""Warm-starting: image classifiers that go on learning when the data grow."""
