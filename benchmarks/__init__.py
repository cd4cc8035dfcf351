"""Performance against peers and against the machine's limits; never part of the tests.

Each module prints its table and its floor: `python -m benchmarks.<name>`.
"""
