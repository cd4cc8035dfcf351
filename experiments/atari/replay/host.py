"""The ring in the memory of the host, or with its frames in a file."""

import zlib
from typing import NamedTuple

import numpy as np

from experiments.atari.replay import rows as ring
from experiments.atari.replay.device_frames import DeviceFrames
from experiments.atari.replay.priorities import Prioritization
from experiments.atari.replay.rows import Batch, Layout, Step
from experiments.atari.replay.sum_tree import SumTree
from experiments.harness import memory
from experiments.harness.messages import tell


class ReplayState(NamedTuple):
    """The contents of a ring besides its frames; arrays are of L · S rows."""

    num_positions: np.ndarray  # () int64: written so far
    actions: np.ndarray
    rewards: np.ndarray
    is_terminal: np.ndarray
    is_last: np.ndarray
    ages: np.ndarray
    checksums: np.ndarray  # uint32: of the frames
    weights: np.ndarray | None  # float64: by which rows are drawn; None if uniformly
    max_priority: np.ndarray  # () float64


class Replay:
    """A ring of the last steps, from which transitions are drawn.

    With a `Prioritization`, a new transition has the highest priority so far, so it is
    likely to be drawn once.

    Args:
      layout: of the ring; besides its slack it has `stack` + `num_steps` + 1 positions
        or more.
      frame_shape: of a frame.
      prioritization: None to draw uniformly.
      frames: where frames are kept, shape ``(rows, *frame_shape)``, such as in a file;
        by default in memory.

    Raises:
      UserError: there is not enough memory for it, before any is taken.
    """

    def __init__(
        self,
        layout: Layout,
        frame_shape: tuple[int, ...] = (84, 84),
        prioritization: Prioritization | None = None,
        frames: np.ndarray | None = None,
    ) -> None:
        least = layout.stack + layout.num_steps + 1 + layout.slack
        if layout.length < least:
            raise ValueError(f"layout.length={layout.length}: must be at least {least}")
        if frames is None:
            frames = _in_memory(layout, frame_shape)
        self.layout = layout
        self.rows = ring.empty(layout, frame_shape, frames=frames)
        self.device_frames: DeviceFrames | None = None
        """A copy from which batches take their frames, if there is one."""
        self.num_positions = 0
        self._checksums = np.zeros(layout.length * layout.num_streams, np.uint32)
        self._prioritization = prioritization
        self._max_priority = 1.0
        self._tree = (
            None
            if prioritization is None
            else SumTree(layout.length * layout.num_streams)
        )

    def __len__(self) -> int:
        """Number of rows from which transitions can be drawn."""
        _, count = ring.drawable(self.layout, self.num_positions)
        return int(count) * self.layout.num_streams

    def append(self, step: Step) -> None:
        """Adds a row to each stream, over the oldest ones."""
        own, rows = self._slice(self.num_positions), self.rows
        before = rows.ages[self._slice(self.num_positions - 1)]
        rows.ages[own] = ring.aged(before, step.is_first, self.layout.stack)
        rows.frames[own] = step.frames
        rows.actions[own] = step.actions
        rows.rewards[own] = step.rewards
        rows.is_terminal[own] = step.is_terminal
        rows.is_last[own] = step.is_last
        if self.device_frames is not None:
            self.device_frames.write(own.start, step.frames)
        self._checksums[own] = [zlib.crc32(frame) for frame in step.frames]
        self.num_positions += 1
        if self._tree is not None:
            self._prioritize_new(self._tree)

    def sample(self, generator: np.random.Generator, batch_size: int) -> Batch:
        """Draws transitions, with replacement.

        Raises:
          ValueError: there is none yet.
        """
        if not len(self):
            raise ValueError("no transition can be drawn yet")
        positions, streams = self._uniform(generator, batch_size)
        probabilities = np.full(batch_size, 1 / len(self))
        if self._tree is not None and self._tree.total > 0:
            positions, streams, probabilities = self._prioritized(
                generator, positions, streams, self._tree
            )
        return ring.gather(
            self.layout,
            self.rows,
            positions,
            streams,
            probabilities.astype(np.float32),
            take=None if self.device_frames is None else self.device_frames.take,
        )

    def copy_to_device(self) -> None:
        """Takes the frames of batches from a copy on the device from now on."""
        num = min(self.num_positions, self.layout.length) * self.layout.num_streams
        self.device_frames = DeviceFrames(self.rows.frames, num)

    def set_priorities(self, rows: np.ndarray, priorities: np.ndarray) -> None:
        """Sets the priorities of transitions, such as their losses.

        Args:
          rows: where they begin, as of a batch that was drawn since the last step, or
            at most `slack` steps ago.
          priorities: at least 0, shape ``(n,)``.
        """
        if self._tree is None or self._prioritization is None:
            return
        self._max_priority = max(self._max_priority, float(np.max(priorities)))
        weights = priorities**self._prioritization.exponent
        # Uniform draws find rows at which no transition begins, too; and of others some
        # can no longer be drawn.
        first, count = ring.drawable(self.layout, self.num_positions)
        positions = self._positions(rows // self.layout.num_streams)
        is_there = (positions >= first) & (positions < first + count)
        self._tree.set(rows, np.where(is_there & ~self.rows.is_last[rows], weights, 0))

    def state(self) -> ReplayState:
        """Everything but the frames; the arrays are new."""
        rows = self.rows
        return ReplayState(
            num_positions=np.asarray(self.num_positions),
            actions=rows.actions.copy(),
            rewards=rows.rewards.copy(),
            is_terminal=rows.is_terminal.copy(),
            is_last=rows.is_last.copy(),
            ages=rows.ages.copy(),
            checksums=self._checksums.copy(),
            weights=None if self._tree is None else self._tree.weights.copy(),
            max_priority=np.asarray(self._max_priority),
        )

    def restore(self, state: ReplayState) -> None:
        """Continues from a ring of this layout, with its frames in place."""
        self.num_positions = int(state.num_positions)
        for name in ("actions", "rewards", "is_terminal", "is_last", "ages"):
            getattr(self.rows, name)[:] = getattr(state, name)
        self._checksums[:] = state.checksums
        self._max_priority = float(state.max_priority)
        if self._tree is not None and state.weights is not None:
            self._tree.fill(state.weights)

    def frames_are_whole(self) -> bool:
        """Whether all frames that may be drawn are the appended ones."""
        layout = self.layout
        first = max(self.num_positions - layout.length + layout.slack, 0)
        own = self._slots(np.arange(first, self.num_positions))
        rows = (own[:, None] * layout.num_streams + np.arange(layout.num_streams)).flat
        return all(
            zlib.crc32(self.rows.frames[row]) == self._checksums[row] for row in rows
        )

    def _slice(self, position: int) -> slice:
        start = position % self.layout.length * self.layout.num_streams
        return slice(start, start + self.layout.num_streams)

    def _slots(self, positions: np.ndarray) -> np.ndarray:
        return positions % self.layout.length

    def _positions(self, slots: np.ndarray) -> np.ndarray:
        """The newest position in each slot, the only one that still exists."""
        newest = self.num_positions - 1
        return newest - self._slots(newest - slots)

    def _row(self, positions: np.ndarray, streams: np.ndarray) -> np.ndarray:
        return self._slots(positions) * self.layout.num_streams + streams

    def _uniform(
        self, generator: np.random.Generator, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        first, _ = ring.drawable(self.layout, self.num_positions)
        drawn = generator.integers(len(self), size=batch_size)
        return first + drawn // self.layout.num_streams, drawn % self.layout.num_streams

    def _prioritized(
        self,
        generator: np.random.Generator,
        positions: np.ndarray,
        streams: np.ndarray,
        tree: SumTree,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions and streams by priority, except for a share of uniform ones."""
        assert self._prioritization is not None
        share = self._prioritization.uniform_share
        rows = tree.draw(generator.random(len(positions)))
        slots, own = np.divmod(rows, self.layout.num_streams)
        drawn = self._positions(slots)
        by_chance = generator.random(len(positions)) < share
        positions = np.where(by_chance, positions, drawn)
        streams = np.where(by_chance, streams, own)
        relative = tree.weights[self._row(positions, streams)] / tree.total
        return positions, streams, share / len(self) + (1 - share) * relative

    def _prioritize_new(self, tree: SumTree) -> None:
        """Sets weights of rows that this step makes drawable, or no longer drawable."""
        assert self._prioritization is not None
        streams = np.arange(self.layout.num_streams)
        newest = self.num_positions - 1
        # The rows of this step, and those whose observation loses a frame by the next.
        for position in (newest, ring.gone(self.layout, newest)):
            tree.set(self._row(np.asarray(position), streams), np.zeros(len(streams)))
        if newest >= self.layout.num_steps:
            rows = self._row(np.asarray(newest - self.layout.num_steps), streams)
            weight = self._max_priority**self._prioritization.exponent
            tree.set(rows, np.where(self.rows.is_last[rows], 0.0, weight))


def _in_memory(layout: Layout, frame_shape: tuple[int, ...]) -> np.ndarray:
    size = ring.num_bytes(layout, frame_shape)
    tell(f"replay: {ring.in_words(layout, frame_shape)}")
    memory.require(memory.Needs(host_shared=size))
    return ring.no_frames(layout, frame_shape)
