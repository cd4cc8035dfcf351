"""The empirical neural tangent kernel, a few examples at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nap_optax import _checks, _norms
from nap_optax.metrics.kernels._network import (
    Apply,
    check_apply,
    floating_leaves,
    num_examples,
    output_shape,
)

__all__ = ["empirical_ntk"]

# Of one chunk's Jacobian by default; two are in memory at a time.
_CHUNK_BYTES = 2**28

Rows = list[jax.Array]
"""Rows of a Jacobian, an array for each leaf: shape (rows, size of the leaf)."""


def empirical_ntk(
    apply: Apply,
    params: Any,
    inputs: Any,
    other_inputs: Any = None,
    *,
    outputs: str = "trace",
    chunk_size: int | None = None,
) -> jax.Array:
    r"""Gram matrix of the empirical neural tangent kernel.

    .. math::

        K_{ij}(x, x') = \sum_\theta \frac{\partial f_i(x)}{\partial \theta}
        \frac{\partial f_j(x')}{\partial \theta},
        \qquad K(x, x') = \sum_i K_{ii}(x, x') \ \text{ ("trace")}

    over all floating-point parameters :math:`\theta` and outputs :math:`i`, :math:`j`
    of the network :math:`f`. Nothing is divided by the number of outputs.

    The Jacobian of all examples is never in memory. That of a chunk is computed and
    contracted with those of the others, which are computed anew each time; of the
    blocks that mirror each other one is computed. So no more than two Jacobians of
    ``chunk_size`` examples are held (for ``"trace"``, of one output), beside the
    result. Computed in float32 at least, and in full precision on every device.

    Examples must not depend on each other, as they do under batch normalisation: each
    goes through the network alone. To compile once for many parameters, call it inside
    ``jax.jit``.

    Args:
      apply: the network, ``(params, inputs) -> outputs``, with one row per example;
        outputs have shape ``(n,)`` or ``(n, ...)``.
      params: any tree of parameters. What is no floating-point number is kept.
      inputs: an array, or a tree of arrays, with the examples as first axis, n.
      other_inputs: of the columns, m; by default the inputs.
      outputs: ``"trace"`` for the sum over outputs of each one's kernel, ``"full"`` for
        all pairs of outputs. Static.
      chunk_size: examples whose Jacobian is held at a time; by default as many as take
        256 MB. Static.

    Returns:
      Shape ``(n, m)``; for ``"full"`` and k outputs in all ``(n, k, m, k)``, which
      ``reshape(n * k, m * k)`` makes one matrix.

    Raises:
      ValueError: if an argument is of another kind, ``apply`` fails or gives no row for
        each example, or ``other_inputs`` have outputs of another shape.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax.metrics import empirical_ntk
      >>> def apply(params, inputs):
      ...     return inputs @ params["kernel"] + params["bias"]
      >>> params = {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}
      >>> inputs = jnp.array([[1.0, 0.0], [0.0, 2.0]])
      >>> print(empirical_ntk(apply, params, inputs))  # 3 outputs: 3 (x . x' + 1)
      [[ 6.  3.]
       [ 3. 15.]]

    References:
      Jacot et al., `Neural Tangent Kernel: Convergence and Generalization in Neural
      Networks <https://arxiv.org/abs/1806.07572>`_, 2018; Novak et al., `Fast Finite
      Width Neural Tangent Kernel <https://arxiv.org/abs/2206.08720>`_, 2022
    """
    name = "empirical_ntk"
    check_apply(name, apply)
    if not isinstance(outputs, str) or outputs not in ("trace", "full"):
        raise ValueError(f"outputs={_checks.shown(outputs)}: must be 'trace' or 'full'")
    if chunk_size is not None:
        chunk_size = _checks.static_count("chunk_size", chunk_size)
    leaves, rebuild = floating_leaves(name, params)
    num_rows = num_examples("inputs", inputs)
    shape = output_shape(name, apply, params, inputs)[1:]
    num_outputs = math.prod(shape)
    if other_inputs is not None:
        num_examples("other_inputs", other_inputs)
        if output_shape(name, apply, params, other_inputs)[1:] != shape:
            raise ValueError("other_inputs have outputs of another shape than inputs")

    def example_outputs(leaves: Sequence[jax.Array], example: Any) -> jax.Array:
        alone = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], example)
        return jnp.ravel(apply(rebuild(leaves), alone))

    at_once = num_outputs if outputs == "full" else 1
    size = chunk_size or _default_chunk(leaves, at_once)

    def gram(rows: Callable[[Any], Rows]) -> jax.Array:
        if other_inputs is None:
            return _symmetric(rows, _Chunks(inputs, size), at_once)
        columns = _Chunks(other_inputs, size)
        return _rectangular(rows, _Chunks(inputs, size), columns, at_once)

    if outputs == "full":
        matrix = gram(functools.partial(_rows_of_all, example_outputs, leaves))
        return matrix.reshape(num_rows, num_outputs, -1, num_outputs)

    def of_output(output: jax.Array) -> jax.Array:
        return gram(functools.partial(_rows_of_one, example_outputs, leaves, output))

    numbers = jnp.arange(num_outputs, dtype=jnp.int32)
    result = jax.eval_shape(of_output, numbers[0])
    total, _ = jax.lax.scan(
        lambda total, output: (total + of_output(output), None),
        jnp.zeros(result.shape, result.dtype),
        numbers,
    )
    return total


class _Chunks:
    """Examples in chunks of nearly one size; the last example fills up the last."""

    def __init__(self, inputs: Any, size: int):
        self._inputs = jax.tree.map(jnp.asarray, inputs)
        self.num_examples = num_examples("inputs", inputs)
        self.num = -(-self.num_examples // size)
        per_chunk = -(-self.num_examples // self.num)
        indices = jnp.arange(self.num * per_chunk).reshape(self.num, per_chunk)
        self._indices = jnp.minimum(indices, self.num_examples - 1)

    def __getitem__(self, number: jax.Array) -> Any:
        rows = self._indices[number]
        return jax.tree.map(lambda leaf: leaf[rows], self._inputs)


def _symmetric(
    rows: Callable[[Any], Rows], chunks: _Chunks, rows_per_example: int
) -> jax.Array:
    """The Gram matrix of examples with themselves.

    Chunk i meets chunks i, i + 1, ..., i + num // 2 of a circle, so that each pair
    meets once, and each chunk's Jacobian is computed equally often.
    """
    numbers = jnp.arange(chunks.num)
    ahead = jnp.arange(1, chunks.num // 2 + 1)

    def blocks_of(number: jax.Array) -> jax.Array:
        own = rows(chunks[number])
        others = jax.lax.map(
            lambda step: _contract(own, rows(chunks[(number + step) % chunks.num])),
            ahead,
        )
        return jnp.concatenate([_contract(own, own)[None], others])

    blocks = jax.lax.map(blocks_of, numbers)  # (num, 1 + num // 2, rows, rows)
    steps = jnp.concatenate([jnp.zeros(1, ahead.dtype), ahead])
    firsts = jnp.broadcast_to(numbers[:, None], blocks.shape[:2])
    seconds = (firsts + steps[None]) % chunks.num
    whole = jnp.zeros((chunks.num, chunks.num, *blocks.shape[2:]), blocks.dtype)
    whole = whole.at[seconds, firsts].set(jnp.swapaxes(blocks, 2, 3))
    whole = whole.at[firsts, seconds].set(blocks)
    num_rows = chunks.num_examples * rows_per_example
    return _joined(whole)[:num_rows, :num_rows]


def _rectangular(
    rows: Callable[[Any], Rows],
    chunks: _Chunks,
    columns: _Chunks,
    rows_per_example: int,
) -> jax.Array:
    def blocks_of(number: jax.Array) -> jax.Array:
        own = rows(chunks[number])
        return jax.lax.map(
            lambda column: _contract(own, rows(columns[column])),
            jnp.arange(columns.num),
        )

    whole = _joined(jax.lax.map(blocks_of, jnp.arange(chunks.num)))
    num_rows = chunks.num_examples * rows_per_example
    return whole[:num_rows, : columns.num_examples * rows_per_example]


def _joined(blocks: jax.Array) -> jax.Array:
    """One matrix of blocks of shape (i, j, rows, columns)."""
    outer, inner, rows, columns = blocks.shape
    return jnp.swapaxes(blocks, 1, 2).reshape(outer * rows, inner * columns)


def _rows_of_one(
    example_outputs: Callable[..., jax.Array],
    leaves: Sequence[jax.Array],
    output: jax.Array,
    examples: Any,
) -> Rows:
    """The Jacobian of one output of each example."""
    gradient = jax.grad(lambda *args: example_outputs(*args)[output])
    return _flat(jax.vmap(gradient, in_axes=(None, 0))(leaves, examples), 1)


def _rows_of_all(
    example_outputs: Callable[..., jax.Array],
    leaves: Sequence[jax.Array],
    examples: Any,
) -> Rows:
    """The Jacobian of all outputs, those of one example after another."""

    def jacobian(example: Any) -> Any:
        outputs, pull_back = jax.vjp(lambda own: example_outputs(own, example), leaves)
        (rows,) = jax.vmap(pull_back)(jnp.eye(outputs.size, dtype=outputs.dtype))
        return rows

    return _flat(jax.vmap(jacobian)(examples), 2)


def _flat(gradients: Sequence[jax.Array], num_axes: int) -> Rows:
    """Gradients as rows of real numbers, in float32 at least."""
    flat = []
    for gradient in gradients:
        num_rows = math.prod(gradient.shape[:num_axes])
        rows = _norms.widened(gradient).reshape(num_rows, -1)
        is_complex = jnp.iscomplexobj(rows)
        flat += [jnp.real(rows), jnp.imag(rows)] if is_complex else [rows]
    return flat


def _contract(rows: Rows, columns: Rows) -> jax.Array:
    with jax.numpy_dtype_promotion("standard"):  # leaves may be of several dtypes
        return functools.reduce(
            jnp.add,
            (
                jnp.matmul(left, right.T, precision="highest")
                for left, right in zip(rows, columns, strict=True)
            ),
        )


def _default_chunk(leaves: Sequence[jax.Array], rows_per_example: int) -> int:
    """As many examples as have a Jacobian of `_CHUNK_BYTES`, and one at least."""
    per_row = sum(
        jnp.size(leaf) * jnp.dtype(_norms.norm_dtype(leaf)).itemsize for leaf in leaves
    )
    return max(1, _CHUNK_BYTES // max(1, per_row * rows_per_example))
