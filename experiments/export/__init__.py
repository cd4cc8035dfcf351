"""`python -m experiments.export`: logs the metrics of runs on disk to trackers."""
