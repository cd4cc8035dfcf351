"""Agents on Atari against how others build them; `python -m benchmarks.atari`."""
