"""Responses along the path of each sample, which take most memory and time."""

import jax
import jax.numpy as jnp

from experiments.harness import memory
from experiments.lazy_rich.dmft.datum import Gradients

_PARTS = 6
"""Of the times, each with a product of its own size: a third of all is computed."""


def num_columns(num_steps: int, width: int) -> int:
    """What a gradient responds to: z, and the pre-activations of each update."""
    return 1 + num_steps * width


def num_bytes(num_steps: int, width: int, num_samples: int) -> int:
    """Bytes of `no_paths`, in float32."""
    n = num_steps * width
    return 4 * num_samples * n * num_columns(num_steps, width)


def require(num_steps: int, width: int, num_samples: int) -> None:
    """Raises `ValueError` unless there is memory for `no_paths`, before it is taken."""
    size, there = num_bytes(num_steps, width, num_samples), memory.available()
    if there is not None and size > there:
        raise ValueError(
            f"{num_samples} samples of {num_steps} updates of {width} units take "
            f"{size / 1e9:,.1f} GB of memory, and {there / 1e9:,.1f} GB are available: "
            "ask for fewer samples or updates"
        )


def no_paths(num_steps: int, width: int, num_samples: int) -> jax.Array:
    """The paths before the first update: shape (T N, 1 + T N, S)."""
    n = num_steps * width
    return jnp.zeros((n, num_columns(num_steps, width), num_samples))


def row(
    paths: jax.Array, kernel: jax.Array, now: Gradients, time: jax.Array
) -> jax.Array:
    """The responses of one time's gradients, shape (N, 1 + T N, S).

    Args:
      paths: of the times before.
      kernel: of these in the pre-activations, shape (N, T N).
      now: of this time.
      time: this one.
    """
    width, columns = len(kernel), paths.shape[1]
    carried = _carried(paths, kernel, time)
    here = jnp.arange(columns)[None] == (1 + time * width + jnp.arange(width))[:, None]
    carried += here[..., None]
    found = jnp.einsum("ilm,ljm->ijm", now.to_now, carried)
    found = found.at[:, 0].add(now.to_target)
    return found.at[:, 1 : 1 + width].add(now.to_first)


def _carried(paths: jax.Array, kernel: jax.Array, time: jax.Array) -> jax.Array:
    """Responses of the pre-activations through memory, shape (N, 1 + T N, S)."""
    width, times = len(kernel), len(paths) // len(kernel)
    size = -(-times // _PARTS)

    def product(end: int, kernel: jax.Array, paths: jax.Array) -> jax.Array:
        rows, columns = end * width, 1 + end * width
        found = jnp.einsum("ik,kjm->ijm", kernel[:, :rows], paths[:rows, :columns])
        rest = paths.shape[1] - columns
        return jnp.pad(found, ((0, 0), (0, rest), (0, 0)))

    # Nothing responds to what comes later, so nothing beyond it is read.
    ends = [min(end, times) for end in range(size, times + size, size)]
    branches = [lambda *args, end=end: product(end, *args) for end in ends]
    return jax.lax.switch(jnp.maximum(time - 1, 0) // size, branches, kernel, paths)
