"""How well detectors find a change: `python -m experiments.detectors --help`."""
