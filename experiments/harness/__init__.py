"""What every experiment stands on; it knows nothing of any experiment.

`config` has the fields of every run, with `checks`, and `command_line` turns arguments
into a config and mistakes into one line (`messages`); `loop` runs compiled chunks of
steps and yields progress; `sweep` maps them over seeds and numbers; `run_directory`
(with `checkpoints`, `environment` and `files`) keeps a run on disk so that the same
command continues it; `progress` and `plots` show it; `session` wires them together.
`run_files`, `run_members` and `found_runs` read such directories without a lock, and
`trackers` pass metrics on to other programs.
`family` is what an experiment tells the harness, `members` trains it where it is made
of pure functions, `arm_group` runs the arms that one program runs, `parts` divides them
among processes, and `arm_groups` runs all arms of a figure. `backend` decides what
depends on the platform, `timing` compares times, `matrices` picks the matrices among
parameters, and `argument_errors` and `help_text` are what is said of flags.
"""
