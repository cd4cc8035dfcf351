"""The parts that all experiments share; none knows a particular experiment.

`config` has the fields of every run, with `checks`, and `command_line` turns arguments
into a config and mistakes into one line (`messages`); `loop` runs compiled chunks of
steps and yields progress; `sweep` maps them over seeds and numbers; `run_directory`
(with `checkpoints`, `environment` and `files`) keeps a run on disk so that the same
command continues it; `progress` and `plots` show it; `session` wires them together.
`run_files`, `run_members` and `found_runs` read such directories without a lock, and
`trackers` pass metrics on to other programs.
`family` describes an experiment to the harness, and `members` trains one of pure
functions. `arm_group` runs the arms that share a program, `parts` divides them among
processes, and `arm_groups` runs all arms of a figure. `backend` decides what depends on
the platform, `timing` compares times, and `matrices` picks the matrices among
parameters. `argument_errors` and `help_text` explain flags.
"""
