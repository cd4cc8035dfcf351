"""`python -m experiments.export`: gives trackers the metrics of runs on disk."""
