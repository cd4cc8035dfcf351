"""Runs a run from wherever it is to its last step, with the other modules.

It restores, runs chunks, records each, saves now and then and shows progress. This is
the same for every experiment; functions and labels are arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.harness import loop, sweep
from experiments.harness.progress import Progress
from experiments.harness.run_directory import RunDirectory


def run_to_end(
    run: RunDirectory,
    chunk_fn: loop.ChunkFn,
    state: Any,
    *inputs: Any,
    num_steps: int,
    steps_per_chunk: int,
    start_step: int = 0,
    most_unsaved: int | None = None,
    labels: Sequence[Mapping[str, Any]] | None = None,
    shown: Sequence[str] = (),
    quiet: bool = False,
    accept: Callable[[Mapping[str, Any]], None] | None = None,
) -> tuple[Any, dict[str, float | None]]:
    """Continues a run to its end.

    Args:
      run: The entered directory of an unfinished run.
      chunk_fn: See `loop.compile_chunk`; its metrics are a dictionary.
      state: The initial state; its buffers may be donated.
      *inputs: Passed to every chunk.
      num_steps: Steps of the whole run.
      steps_per_chunk: Steps between two evaluations.
      start_step: The step of `state`; not 0 if a run continues from the end of another.
      most_unsaved: Most steps between two checkpoints, however short their time; at
        least `steps_per_chunk`. For steps that overwrite what older checkpoints need
        (`RunDirectory.array`). A checkpoint is kept for up to twice as many steps.
      labels: For a sweep, labels that identify each member; one row is recorded for
        each. None for a single run.
      shown: Names of metrics to show beside the progress; several members have their
        mean [lowest, highest].
      quiet: Whether to show no progress.
      accept: Takes the metrics of each chunk before they are recorded and its state is
        saved. If it raises, the last checkpoint stays.

    Returns:
      The final state, and `Progress.totals()`.
    """
    state, start_step = run.restore(state, start_step)
    saved = start_step

    def needs_saving(step: int) -> bool:
        nonlocal saved
        unsaved = step + steps_per_chunk - saved  # at the next time to ask
        too_many = most_unsaved is not None and unsaved > most_unsaved
        if run.checkpoint_due(step) or too_many:
            saved = step
        return saved == step

    chunks = loop.run_chunks(
        chunk_fn,
        state,
        *inputs,
        start_step=start_step,
        num_steps=num_steps,
        steps_per_chunk=steps_per_chunk,
        needs_state=needs_saving,
    )
    with Progress(
        num_steps, start_step=start_step, clock_path=run.clock_path, quiet=quiet
    ) as progress:
        for chunk in chunks:
            if accept is not None:
                accept(chunk.metrics)
            run.record(chunk.step, _rows(chunk.metrics, labels), chunk.state)
            state = chunk.state
            text = ", ".join(f"{k} {_spread(chunk.metrics[k])}" for k in shown)
            progress.update(
                chunk.step, text, includes_compilation=chunk.includes_compilation
            )
        return state, progress.totals()


def _spread(values: Any) -> str:
    """One number, or the mean of several with the lowest and the highest."""
    mean = f"{np.mean(values):.4g}"
    if np.size(values) == 1:
        return mean
    return f"{mean} [{np.min(values):.4g}, {np.max(values):.4g}]"


def _rows(
    metrics: Mapping[str, Any], labels: Sequence[Mapping[str, Any]] | None
) -> list[Mapping[str, Any]]:
    if labels is None:
        return [metrics]
    members = sweep.unstack(metrics)
    return [{**label, **row} for label, row in zip(labels, members, strict=True)]
