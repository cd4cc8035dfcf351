"""Checks for all that would stop a run later, before anything is written.

`run_directory` calls it while it holds the lock. `saved_steps` chooses the checkpoint
from which the run continues.
"""

from pathlib import Path

from experiments.harness import files, saved_steps
from experiments.harness.messages import UserError
from experiments.harness.run_files import (
    ARRAYS,
    ASIDE,
    CHECKPOINTS,
    CLOCK,
    CONFIG,
    FINISHED,
    METRICS,
    SUMMARY,
)
from experiments.harness.saved_steps import Choice

_FILES = (CONFIG, METRICS, SUMMARY, FINISHED, CLOCK)


def look(top: Path) -> Choice:
    """Chooses the checkpoint of an unfinished run; changes nothing.

    Args:
      top: The directory of the run.

    Raises:
      UserError: A file is out of reach, a link that would be written through, or
        damaged and cannot be computed again.
    """
    directory = top / CHECKPOINTS
    for path in (top / name for name in _FILES):
        files.refuse_link(path)
        files.is_file(path)
    for path in (directory, top / ASIDE, top / ARRAYS, *top.glob("*.png")):
        files.refuse_link(path)
    for path in directory.rglob("*"):
        files.refuse_link(path)  # steps are removed
    if files.is_there(top / ASIDE) and not (top / ASIDE).is_dir():
        raise UserError(f"{top / ASIDE} has to be a directory: remove it")
    metrics = files.read_bytes(top / METRICS) or b""
    if metrics and not files.is_there(directory):
        raise UserError(
            f"{directory} is gone: put it back, or remove {METRICS} to start from "
            "the first step"
        )
    choice = saved_steps.choose(directory, metrics)
    if choice == Choice() and _num_evaluations(metrics) > 1:
        # A run saves its first checkpoint right after its first evaluation.
        raise UserError(
            f"{directory} is empty: put back what it held, or remove {METRICS} to "
            "start from the first step"
        )
    if choice.uncovered and choice.usable is None:
        step, why = next(iter(choice.uncovered.items()))
        raise UserError(
            f"{top / METRICS} is damaged and no checkpoint is from before, "
            f"nothing was changed: put back a copy of it, or name a new directory "
            f"(step {step}: {why})"
        )
    return choice


def _num_evaluations(metrics: bytes) -> int:
    """Number of steps with rows; lines that cannot be read count as one."""
    steps = set()
    for line in metrics.split(b"\n")[:-1]:
        try:
            (row,) = files.parse_json_lines(line + b"\n")
            steps.add(str(row.get("step")))
        except ValueError:
            steps.add("")
    return len(steps)
