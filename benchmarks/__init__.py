"""Performance against peers and against the machine's limits; no test asserts a time.

Each module, `python -m benchmarks.<name>`, prints a table and its floor, the time that
the machine's limits allow.
"""

from experiments.harness import command_line

command_line.during_imports()
