"""Trains members on emulated games to their end, within the harness."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.atari import outcomes
from experiments.atari.config import Config
from experiments.atari.emulated import sizes
from experiments.atari.emulated.member import Member, State
from experiments.atari.emulated.programs import Programs
from experiments.atari.environments.ale import FRAME_SHAPE
from experiments.atari.replay import rows as ring
from experiments.harness import session, sweep
from experiments.harness.messages import tell
from experiments.harness.run_directory import RunDirectory, damaged_array


def train(
    run: RunDirectory,
    programs: Programs,
    configs: Sequence[Config],
    labels: Sequence[Mapping[str, Any]],
    shown: Sequence[str],
) -> dict[str, float | None]:
    """Trains members side by side, one after the other between two evaluations.

    Args:
      run: an entered directory of an unfinished run.
      programs: of the members.
      configs: one for each, with its seed.
      labels: what identifies each, for its rows of metrics.
      shown: names of metrics to show beside the progress.

    Returns:
      `Progress.totals()`.
    """
    own = sizes.layout(configs[0])
    tell(f"replay: {ring.in_words(own, FRAME_SHAPE)} of each seed, on disk")
    members = [Member(programs, config) for config in configs]
    rounds = _Rounds(run, members)
    _, totals = session.run_to_end(
        run,
        rounds,
        tuple(member.init() for member in members),
        num_steps=configs[0].num_steps,
        steps_per_chunk=configs[0].eval_every,
        most_unsaved=sizes.most_unsaved(configs[0]),
        labels=labels,
        shown=shown,
    )
    return totals


class _Rounds:
    """Rounds of several members: see `loop.ChunkFn`."""

    def __init__(self, run: RunDirectory, members: Sequence[Member]) -> None:
        self._run = run
        self._members = members
        self._must_be_finite = outcomes.must_be_finite([m.config for m in members])
        self._files: list[Any] = []

    def __call__(
        self, state: tuple[State, ...], *inputs: Any, num_steps: int
    ) -> tuple[tuple[State, ...], Any]:
        """Runs them, and flushes to disk what a checkpoint of their state relies on."""
        if not self._files:
            self._open_files(state)
        states, metrics = [], []
        for member, own in zip(self._members, state, strict=True):
            after, measured = member.run(own, num_steps)
            # Not by `accept` of `session.run_to_end`, which sees a chunk's metrics once
            # the next chunk has been dispatched: here, played.
            if self._must_be_finite:
                outcomes.require_finite(member.config, measured)
            states.append(after)
            metrics.append(measured)
        for file in self._files:
            file.flush()
        return tuple(states), sweep.stack(metrics)

    def _open_files(self, state: Sequence[State]) -> None:
        """The frames: new ones at the beginning, else the earlier ones."""
        for index, (member, own) in enumerate(zip(self._members, state, strict=True)):
            name = f"frames_{index}"
            file = self._run.array(
                name, sizes.frames_shape(member.config), is_new=own.round == 0
            )
            if not member.keep_frames_in(file, own):
                raise damaged_array(self._run.array_path(name))
            self._files.append(file)
