"""The training loop: compiled chunks of steps, yielded as they finish.

A chunk is some steps followed by one evaluation. Its boundaries depend only on the
config, never on where a run was killed, so a continued run evaluates at the same steps.
The loop writes no files: its consumers do.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import jax

from experiments.harness import backend, sweep


@dataclasses.dataclass(frozen=True)
class Chunk:
    """The result of a chunk, which the loop yields at its end."""

    step: int
    """Number of steps done."""
    metrics: Any
    """Results of the evaluation, on the host."""
    state: Any
    """The state, if it was asked for or at the end; else None."""
    includes_compilation: bool
    """Whether a program was compiled since the last chunk, which distorts rates."""


class ChunkFn(Protocol):
    """Runs `num_steps` steps, then evaluates."""

    def __call__(
        self, state: Any, *inputs: Any, num_steps: int
    ) -> tuple[Any, Any]:  # (state, metrics)
        """Returns the new state and the metrics, without waiting for them."""
        ...


def run_chunks(
    chunk_fn: ChunkFn,
    state: Any,
    *inputs: Any,
    start_step: int = 0,
    num_steps: int,
    steps_per_chunk: int,
    needs_state: Callable[[int], bool] | None = None,
) -> Iterator[Chunk]:
    """Runs chunks from `start_step` to `num_steps` and yields after each.

    The next chunk is dispatched before the metrics of the last are read, so that the
    device never waits for the host. The loop waits only if the state itself is needed.
    The consumer may then use the state until it asks for the next chunk, which may
    donate its buffers.

    Args:
      chunk_fn: A function as made by `compile_chunk`.
      state: The state at `start_step`. It may be donated: do not use it afterwards.
      *inputs: Passed to every chunk.
      start_step: 0 or a boundary, such as that of a checkpoint.
      num_steps: The step to stop at; the last chunk may be shorter.
      steps_per_chunk: Number of steps from one boundary to the next.
      needs_state: Called once at each boundary; returns whether to yield the state.

    Raises:
      ValueError: `start_step` is not a boundary.
    """
    step = start_step
    if step != num_steps and (step % steps_per_chunk or not 0 <= step <= num_steps):
        raise ValueError(
            f"start_step={step}: must be a multiple of steps_per_chunk="
            f"{steps_per_chunk} up to num_steps={num_steps}"
        )
    compiled_lengths = set()
    compiled = False
    waiting: tuple[int, Any] | None = None
    while step < num_steps:
        length = min(steps_per_chunk, num_steps - step)
        compiled |= length not in compiled_lengths
        compiled_lengths.add(length)
        state, metrics = chunk_fn(state, *inputs, num_steps=length)
        step += length
        if waiting is not None:
            yield Chunk(waiting[0], jax.device_get(waiting[1]), None, compiled)
            compiled = False
        waiting = (step, metrics)
        if step == num_steps or (needs_state is not None and needs_state(step)):
            yield Chunk(step, jax.device_get(metrics), state, compiled)
            compiled, waiting = False, None


def compile_chunk(
    step_fn: Callable[..., Any],
    evaluate_fn: Callable[..., Any],
    *,
    in_axes: Sequence[int | None] | None = None,
    has_convolutions: bool = False,
    compiler_options: Mapping[str, Any] | None = None,
) -> ChunkFn:
    """Compiles steps and an evaluation into a chunk, in the backend's fastest form.

    One program scans over the steps and maps over the members of a sweep. If that would
    be slow (`backend.loops_in_program`), each step is dispatched by itself. The state's
    buffers are donated.

    Args:
      step_fn: `(state, *inputs) -> state`, one step of one member. All that changes
        from step to step (keys, counters, running means) is in the state.
      evaluate_fn: `(state, *inputs) -> (state, metrics)` for one member; metrics are a
        pytree of arrays. The state may keep values for the next evaluation.
      in_axes: None for a single run. For a sweep, 0 or None for the state and each
        input: 0 if it has the members' axis, None if it is shared (see
        `sweep.over_members`).
      has_convolutions: Whether the steps convolve.
      compiler_options: The option of that name of `jax.jit`.

    Returns:
      A function for `run_chunks`.
    """
    options = dict(compiler_options) if compiler_options else None
    jit = partial(jax.jit, compiler_options=options)
    in_program = backend.loops_in_program(has_convolutions=has_convolutions)
    if not in_program:
        step_fn = jit(step_fn, donate_argnums=0)
        evaluate_fn = jit(evaluate_fn, donate_argnums=0)

    def run_member(num_steps: int, state: Any, *inputs: Any) -> tuple[Any, Any]:
        if in_program:
            state, _ = jax.lax.scan(
                lambda carry, _: (step_fn(carry, *inputs), None),
                state,
                length=num_steps,
            )
        else:
            for _ in range(num_steps):
                state = step_fn(state, *inputs)
        return evaluate_fn(state, *inputs)

    def run_all(state: Any, *inputs: Any, num_steps: int) -> tuple[Any, Any]:
        run: Callable[..., Any] = partial(run_member, num_steps)
        if in_axes is not None:
            run = sweep.over_members(
                run, in_axes=in_axes, has_convolutions=has_convolutions
            )
        return run(state, *inputs)

    if in_program:
        run_all = jit(run_all, static_argnames="num_steps", donate_argnums=0)
    # Members that are a loop in Python all run on the first device.
    if in_axes is None or not in_program:
        return run_all
    return _placed(run_all, in_axes)


def _placed(chunk_fn: ChunkFn, in_axes: Sequence[int | None]) -> ChunkFn:
    """Puts the arguments of a sweep on the devices that run them."""

    def run(state: Any, *inputs: Any, num_steps: int) -> tuple[Any, Any]:
        placed = [
            sweep.place(arg, in_axes=axis)
            for arg, axis in zip((state, *inputs), in_axes, strict=True)
        ]
        return chunk_fn(*placed, num_steps=num_steps)

    return run
