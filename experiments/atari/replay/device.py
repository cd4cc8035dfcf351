"""The ring in the memory of a device, as pure functions of its state."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.atari.replay import rows as ring
from experiments.atari.replay.priorities import Prioritization
from experiments.atari.replay.rows import Array, Batch, Layout, Rows, Step


class RingState(NamedTuple):
    """What changes with each step and draw."""

    rows: Rows
    num_positions: jax.Array  # () int32: written so far
    # (2 · 2^k,) float32: nodes as in `sum_tree`, the root at 1; one where draws are
    # uniform
    tree: jax.Array
    max_priority: jax.Array  # () float32


@dataclasses.dataclass(frozen=True)
class DeviceReplay:
    """`host.Replay` as pure functions, for a fully compiled loop."""

    layout: Layout
    frame_shape: tuple[int, ...]
    prioritization: Prioritization | None = None

    def init(self) -> RingState:
        """A ring without steps."""
        size = 2
        if self.prioritization is not None:
            items = self.layout.length * self.layout.num_streams
            size = 2 << max(items - 1, 1).bit_length()
        return RingState(
            rows=ring.empty(self.layout, self.frame_shape, jnp),
            num_positions=jnp.zeros([], jnp.int32),
            tree=jnp.zeros(size, jnp.float32),
            max_priority=jnp.ones([], jnp.float32),
        )

    def size(self, state: RingState) -> jax.Array:
        """Number of rows from which transitions can be drawn, shape ``()``."""
        _, count = ring.drawable(self.layout, state.num_positions)
        return count * self.layout.num_streams

    def append(self, state: RingState, step: Step) -> RingState:
        """Adds a row to each stream, over the oldest ones."""
        before = jax.lax.dynamic_slice_in_dim(
            state.rows.ages,
            self._start(state.num_positions - 1),
            self.layout.num_streams,
        )
        new = Rows(
            frames=step.frames,
            actions=step.actions,
            rewards=step.rewards,
            is_terminal=step.is_terminal,
            is_last=step.is_last,
            ages=ring.aged(before, step.is_first, self.layout.stack),
        )
        start = self._start(state.num_positions)
        rows = jax.tree.map(
            lambda own, added: jax.lax.dynamic_update_slice_in_dim(
                own, added.astype(own.dtype), start, axis=0
            ),
            state.rows,
            new,
        )
        state = state._replace(rows=rows, num_positions=state.num_positions + 1)
        return self._prioritized_new(state) if self.prioritization else state

    def sample(self, state: RingState, key: jax.Array, batch_size: int) -> Batch:
        """Draws transitions, with replacement; meaningless before there is one."""
        num_streams = self.layout.num_streams
        first, count = ring.drawable(self.layout, state.num_positions)
        size = jnp.maximum(count * num_streams, 1)
        chance_key, draw_key, which_key = jax.random.split(key, 3)
        drawn = jax.random.randint(chance_key, (batch_size,), 0, size)
        positions, streams = first + drawn // num_streams, drawn % num_streams
        probabilities = jnp.full(batch_size, 1 / size)
        if self.prioritization is not None:
            share = self.prioritization.uniform_share
            total = state.tree[1]
            items = draw(state.tree, jax.random.uniform(draw_key, (batch_size,)))
            newest = state.num_positions - 1
            slots, own = items // num_streams, items % num_streams
            others = newest - (newest - slots) % self.layout.length
            by_chance = jax.random.uniform(which_key, (batch_size,)) < share
            by_chance |= total == 0
            positions = jnp.where(by_chance, positions, others)
            streams = jnp.where(by_chance, streams, own)
            weights = state.tree[state.tree.size // 2 + self._rows(positions, streams)]
            relative = weights / jnp.where(total == 0, 1, total)
            uniform = jnp.where(total == 0, 1, share) / size
            probabilities = uniform + (1 - share) * relative
        return ring.gather(self.layout, state.rows, positions, streams, probabilities)

    def set_priorities(
        self, state: RingState, rows: jax.Array, priorities: jax.Array
    ) -> RingState:
        """Sets the priorities of transitions, such as their losses.

        Args:
          state: of the ring.
          rows: where they begin, as of a batch that was drawn since the last step.
          priorities: at least 0, shape ``(n,)``.
        """
        if self.prioritization is None:
            return state
        weights = priorities**self.prioritization.exponent
        weights = jnp.where(state.rows.is_last[rows], 0, weights)
        return state._replace(
            tree=set_weights(state.tree, rows, weights),
            max_priority=jnp.maximum(state.max_priority, jnp.max(priorities)),
        )

    def _start(self, position: jax.Array) -> jax.Array:
        return position % self.layout.length * self.layout.num_streams

    def _rows(self, positions: Array, streams: Array) -> jax.Array:
        return self._start(positions) + streams

    def _prioritized_new(self, state: RingState) -> RingState:
        """Sets weights of rows that this step makes drawable, or no longer drawable."""
        assert self.prioritization is not None
        streams = jnp.arange(self.layout.num_streams)
        newest = state.num_positions - 1
        tree = state.tree
        for position in (newest, ring.gone(self.layout, newest)):
            gone = self._rows(position, streams)
            tree = set_weights(tree, gone, jnp.zeros(len(streams)))
        # Before there are enough steps, this is a row that is still to come.
        new = self._rows(newest - self.layout.num_steps, streams)
        weight = state.max_priority**self.prioritization.exponent
        is_there = ~state.rows.is_last[new] & (newest >= self.layout.num_steps)
        tree = set_weights(tree, new, jnp.where(is_there, weight, 0))
        return state._replace(tree=tree)


def set_weights(tree: jax.Array, items: jax.Array, weights: jax.Array) -> jax.Array:
    """`sum_tree.SumTree.set` of nodes, shape ``(2 * 2^k,)``.

    If an item is named twice, it gets one of the weights, unspecified which.
    """
    nodes = items + tree.size // 2
    tree = tree.at[nodes].set(weights.astype(tree.dtype))
    for _ in range(_depth(tree)):
        nodes = nodes >> 1
        tree = tree.at[nodes].set(tree[2 * nodes] + tree[2 * nodes + 1])
    return tree


def draw(tree: jax.Array, shares: jax.Array) -> jax.Array:
    """`sum_tree.SumTree.draw` of nodes, shape ``(2 * 2^k,)``."""
    left, nodes = shares * tree[1], jnp.ones(shares.shape, jnp.int32)
    for _ in range(_depth(tree)):
        below = 2 * nodes
        first = tree[below]
        goes_right = (left >= first) & (tree[below + 1] > 0)
        left = jnp.where(goes_right, left - first, left)
        nodes = below + goes_right
    return nodes - tree.size // 2


def _depth(tree: jax.Array) -> int:
    return tree.size.bit_length() - 2
