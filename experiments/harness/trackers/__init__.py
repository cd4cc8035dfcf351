"""Exporters of `metrics.jsonl` to other programs that show metrics.

`registry` names them; each is a module of that name with a function `track` (see
`tracker`). `exporting` reads a run directory and gives them its rows. `follower` does
so in a separate process while the run goes on; `following` starts and ends that
process. A tracker only reads files, so a run computes the same with it, without it, and
if it fails.
"""
