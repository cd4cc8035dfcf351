"""Agents on Atari against other implementations; `python -m benchmarks.atari`."""
