"""Measures this project on an accelerator, in some minutes.

    python -m benchmarks.accelerator [--sections NAME ...] [--small] [--out FILE]

It first measures ceilings of the device, then times to compare with them and with
peers. Every section prints its results and writes them to a JSON file. `--small` is for
a try on a CPU; its figures mean nothing.
"""
