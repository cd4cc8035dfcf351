"""The frames of a ring in the memory of a device, from which batches are taken."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_PIECE = 1 << 26
"""Bytes that travel to the device at a time, at most."""


class DeviceFrames:
    """A copy of a ring's frames on a device.

    Each frame travels to the device once. Of a batch only the numbers of its rows do.

    Args:
      frames: of the ring, shape ``(rows, *frame_shape)``.
      num_written: rows that have frames, from the first one on.
    """

    def __init__(self, frames: np.ndarray, num_written: int) -> None:
        self._frame_shape = frames.shape[1:]
        size = math.prod(self._frame_shape)
        # Of two dimensions, which a TPU pads less than three.
        self._frames = jnp.zeros((len(frames), size), jnp.uint8)
        at_once = max(_PIECE // size, 1)
        for start in range(0, num_written, at_once):
            end = min(start + at_once, num_written)
            self.write(start, frames[start:end])

    def write(self, start: int, frames: np.ndarray) -> None:
        """Writes consecutive rows, from `start` on."""
        # A copy, because a CPU's device may read the memory of an argument later.
        new = np.array(frames.reshape(len(frames), -1))
        self._frames = _write(self._frames, new, start)

    def take(self, rows: np.ndarray) -> jax.Array:
        """The frames of some rows, shape ``(*rows.shape, *frame_shape)``."""
        return _take(self._frames, rows.astype(np.int32), self._frame_shape)


@functools.partial(jax.jit, static_argnums=2)
def _take(frames: jax.Array, rows: jax.Array, frame_shape: tuple[int, ...]) -> Any:
    taken = jnp.take(frames, rows, axis=0, mode="clip")
    return taken.reshape(*rows.shape, *frame_shape)


@functools.partial(jax.jit, donate_argnums=0)
def _write(frames: jax.Array, new: jax.Array, start: jax.Array) -> jax.Array:
    return lax.dynamic_update_slice_in_dim(frames, new, start, axis=0)
