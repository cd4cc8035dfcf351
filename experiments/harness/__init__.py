"""What every experiment stands on; it knows nothing of any experiment.

`command_line` turns arguments into a config and mistakes into one line; `loop` runs
compiled chunks of steps and yields progress; `sweep` batches seeds and numbers;
`run_directory` (with `checkpoints`, `environment` and `files`) keeps a run on disk so
that the same command continues it; `progress` and `plots` show it; `session` wires
them together.
"""
