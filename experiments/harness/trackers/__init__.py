"""Exporters of `metrics.jsonl` to other programs that show metrics.

`registry` names them, and each is a module of its name with a function `track` (see
`tracker`). `exporting` reads a run directory and gives them its rows; `follower` does
so in a process of its own while the run goes on, and `following` starts and ends that.
A tracker sees files only: a run computes the same with it, without it, and if it fails.
"""
