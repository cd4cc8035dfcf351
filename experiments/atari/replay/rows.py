"""Rows of a ring, and the transitions that begin at some of them.

The functions take arrays of NumPy and of JAX.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Array: TypeAlias = Any
"""An array of NumPy or of JAX."""


class Rows(NamedTuple):
    """A ring of L positions of S streams, in arrays of L · S rows.

    The row of stream s at position t, counted from the first step, lies at
    (t mod L) · S + s.
    """

    frames: Array  # (rows, *frame_shape) uint8
    actions: Array  # (rows,) int32: taken in the observation that ends in the frame
    rewards: Array  # (rows,) float32: of the action
    is_terminal: Array  # (rows,) bool: nothing that comes after the action counts
    # (rows,) bool: the action belongs to no transition, because its result is not
    # stored, as in the last step of an episode that is cut short.
    is_last: Array
    ages: Array  # (rows,) uint8: frames before it in its episode, at most stack - 1


class Step(NamedTuple):
    """A row of each of S streams."""

    frames: Array  # (streams, *frame_shape) uint8
    actions: Array  # (streams,) int32
    rewards: Array  # (streams,) float32
    is_terminal: Array  # (streams,) bool
    is_last: Array  # (streams,) bool
    is_first: Array  # (streams,) bool: the frame is the first of its episode


class Batch(NamedTuple):
    """Transitions in a ring; see `observations`."""

    # (n, stack + num_steps, *frame_shape) uint8: frames that follow each other, the
    # first observation's at their beginning
    frames: Array
    ages: Array  # (n, 2) uint8: of both observations' newest frames
    # (n,) int32: from one observation to the other, which after an end may lie in the
    # next episode
    num_steps: Array
    actions: Array  # (n,) int32
    rewards: Array  # (n, num_steps) float32: 0 behind the other observation
    discounts: Array  # (n, num_steps) float32: 0 at an end, 1 behind the other one
    is_valid: Array  # (n,) bool: False where no transition begins
    rows: Array  # (n,) where they begin
    probabilities: Array  # (n,) at which they were drawn


class Layout(NamedTuple):
    """Layout of transitions in rows."""

    length: int
    """L: positions of the ring."""
    num_streams: int = 1
    """S: number of streams."""
    stack: int = 4
    """Frames of an observation."""
    num_steps: int = 1
    """Most steps of a return."""
    discount: float = 0.99
    """Discount of a step."""
    slack: int = 0
    """This many of the oldest positions are kept, but no longer drawn from."""


def empty(
    layout: Layout,
    frame_shape: tuple[int, ...],
    xp: Any = np,
    frames: Array | None = None,
) -> Rows:
    """Rows of zeros, except for given frames."""
    num_rows = layout.length * layout.num_streams
    return Rows(
        frames=no_frames(layout, frame_shape, xp) if frames is None else frames,
        actions=xp.zeros(num_rows, xp.int32),
        rewards=xp.zeros(num_rows, xp.float32),
        is_terminal=xp.zeros(num_rows, bool),
        is_last=xp.zeros(num_rows, bool),
        ages=xp.zeros(num_rows, xp.uint8),
    )


def no_frames(layout: Layout, frame_shape: tuple[int, ...], xp: Any = np) -> Array:
    """The frames of empty rows."""
    return xp.zeros((layout.length * layout.num_streams, *frame_shape), xp.uint8)


def in_words(layout: Layout, frame_shape: tuple[int, ...]) -> str:
    """How many frames there are, and what all rows take."""
    return (
        f"{layout.length * layout.num_streams:,} frames of "
        f"{' x '.join(map(str, frame_shape))} bytes, "
        f"{num_bytes(layout, frame_shape) / 1e9:,.2f} GB"
    )


def num_bytes(layout: Layout, frame_shape: tuple[int, ...]) -> int:
    """Bytes of all rows in memory."""
    frame = int(np.prod(frame_shape))
    return layout.length * layout.num_streams * (frame + 4 + 4 + 1 + 1 + 1)


def drawable(layout: Layout, num_positions: Array) -> tuple[Array, Array]:
    """The positions at which transitions may begin.

    The steps of its return have to be there, with the row behind them; and the frames
    of its observation must not be overwritten.

    Args:
      layout: of the ring.
      num_positions: how many were written so far, with those that are overwritten; an
        int, or an array of shape ``()``.

    Returns:
      The first position and how many there are, the number at least 0.
    """
    at_least = max if isinstance(num_positions, int) else jnp.maximum
    first = at_least(gone(layout, num_positions - 1) + 1, 0)
    return first, at_least(num_positions - layout.num_steps - first, 0)


def gone(layout: Layout, newest: Array) -> Array:
    """The last position before those that can be drawn, given the newest one.

    It is negative as long as nothing is overwritten.
    """
    return newest - (layout.length - layout.slack) + layout.stack - 1


def aged(ages: Array, is_first: Array, stack: int) -> Array:
    """The ages of new frames, given those of the frames before them."""
    xp = _namespace(ages)
    older = xp.minimum(ages + xp.asarray(1, ages.dtype), stack - 1).astype(ages.dtype)
    return xp.where(is_first, xp.zeros_like(older), older)


def gather(
    layout: Layout,
    rows: Rows,
    positions: Array,
    streams: Array,
    probabilities: Array,
    *,
    take: Callable[[Array], Array] | None = None,
) -> Batch:
    """The transitions that begin at some rows.

    Args:
      layout: of the ring.
      rows: the ring.
      positions: at which they begin, shape ``(n,)``.
      streams: of each, shape ``(n,)``.
      probabilities: at which each was drawn, shape ``(n,)``.
      take: the frames of some rows, if those of `rows` are not to be read.

    Returns:
      A batch of n.
    """
    xp = _namespace(rows.actions)

    def at(offsets: Array) -> Array:
        moved = (positions[:, None] + offsets[None]) % layout.length
        return moved * layout.num_streams + streams[:, None]

    # All frames of both observations, in one piece.
    around = at(xp.arange(1 - layout.stack, layout.num_steps + 1))
    if take is None:
        frames = xp.take(rows.frames, around, axis=0, mode="clip")
    else:
        frames = take(around)
    window = at(xp.arange(layout.num_steps + 1))
    starts, steps = window[:, 0], window[:, :-1]
    counts = xp.cumprod(~rows.is_last[steps], axis=1).astype(bool)
    num_steps = xp.sum(counts, axis=1, dtype=xp.int32)
    others = xp.take_along_axis(window, num_steps[:, None], axis=1)[:, 0]
    going_on = layout.discount * ~rows.is_terminal[steps]
    return Batch(
        frames=frames,
        ages=xp.stack([rows.ages[starts], rows.ages[others]], axis=1),
        num_steps=num_steps,
        actions=rows.actions[starts],
        rewards=xp.where(counts, rows.rewards[steps], 0).astype(xp.float32),
        discounts=xp.where(counts, going_on, 1).astype(xp.float32),
        is_valid=counts[:, 0],
        rows=starts,
        probabilities=probabilities,
    )


def observations(batch: Batch, stack: int) -> tuple[Array, Array]:
    """Both observations of each transition, with earlier episodes' frames in black.

    Args:
      batch: n transitions, on a device.
      stack: frames of an observation.

    Returns:
      Two arrays of uint8 of shape ``(n, height, width, channels)``, the oldest frame
      first: frames of shape (height, width) are a channel each, and the channels of
      others follow each other. What comes behind a terminal step counts for nothing,
      and the second one may be anything there.
    """
    num_steps = batch.frames.shape[1] - stack
    if num_steps == 1:
        other = batch.frames[:, 1:]
    else:
        other = jax.vmap(lambda own, k: lax.dynamic_slice_in_dim(own, k, stack))(
            batch.frames, batch.num_steps
        )
    return (
        stacked(batch.frames[:, :stack], batch.ages[:, 0]),
        stacked(other, batch.ages[:, 1]),
    )


def stacked(frames: Array, ages: Array) -> Array:
    """Consecutive frames as channels, with earlier episodes' frames in black.

    Args:
      frames: shape ``(n, stack, height, width)``, or with channels of their own.
      ages: of the newest ones, shape ``(n,)``.

    Returns:
      An array of shape ``(n, height, width, channels)``.
    """
    stack = frames.shape[1]
    is_there = jnp.arange(stack)[None] >= stack - 1 - ages[:, None].astype(jnp.int32)
    frames = jnp.where(lax.expand_dims(is_there, range(2, frames.ndim)), frames, 0)
    if frames.ndim == 4:
        return jnp.moveaxis(frames, 1, -1)
    moved = jnp.moveaxis(frames, 1, -2)
    return moved.reshape(*moved.shape[:3], -1)


def _namespace(array: Array) -> Any:
    """NumPy or `jax.numpy`."""
    return array.__array_namespace__()
