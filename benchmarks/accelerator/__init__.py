"""What this project does on an accelerator, in some minutes on one of them.

    python -m benchmarks.accelerator [--sections NAME ...] [--small] [--out FILE]

Ceilings of the device first, then what takes how long beside them and beside peers.
Every section prints what it found and leaves it in a JSON file. `--small` is for a try
on a CPU; its figures mean nothing.
"""
