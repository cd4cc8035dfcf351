"""Performance against peers and against the machine's limits; never part of the tests.

Each module prints its table and its floor: `python -m benchmarks.<name>`.
"""

from experiments.harness import command_line

command_line.during_imports()
