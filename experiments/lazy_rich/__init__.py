"""From lazy to rich training: `python -m experiments.lazy_rich --help`."""
