"""The empirical neural tangent kernel, a few examples at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nap_optax import _checks, _norms
from nap_optax.metrics.kernels import _layers
from nap_optax.metrics.kernels._network import (
    Apply,
    check_apply,
    floating_leaves,
    num_examples,
    output_shape,
)

__all__ = ["empirical_ntk"]

# Default size of one chunk's Jacobian; two are in memory at a time.
_CHUNK_BYTES = 2**28

# Default length of an axis of a block of products of factors.
_BLOCK_ROWS = 2**13


class Factors(NamedTuple):
    """A layer's part of a Jacobian, as its two factors: see `_layers`."""

    inputs: jax.Array  # (examples, positions, inputs)
    gradients: jax.Array  # (examples, outputs of the network, positions, outputs)


class Rows(NamedTuple):
    """The rows of a Jacobian, in parts."""

    plain: list[jax.Array]  # for each leaf, (rows, size of the leaf)
    layers: list[Factors]


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

    **Memory.** The Jacobian of all examples is never in memory. The Jacobian of a chunk
    is contracted with those of the other chunks, which are computed anew each time. Of
    two blocks that mirror each other, one is computed. So at most two Jacobians of
    ``chunk_size`` examples are held (for ``"trace"``, of one output), beside the
    result. In float32 the result takes 4 n m bytes for ``"trace"``, and a few times
    that while it is computed, or :math:`4 n m k^2` for ``"full"``. Nothing checks that
    this memory is free. Computed in float32 at least, and in full precision on every
    device.

    If a matrix is used once, in a product with few rows for each example or as a table
    of which an example looks up few rows, its part of the Jacobian stays two factors. A
    pair of examples needs only their inner products, which for wide layers is many
    times less to compute. For ``"trace"``, as many outputs are computed together as
    have factors that are no larger than the Jacobian of one output.

    Each example goes through the network alone, so examples must not depend on each
    other, as they do under batch normalisation. To compile once for many parameters,
    call it inside ``jax.jit``.

    Args:
      apply: the network, ``(params, inputs) -> outputs``, with one row per example;
        outputs have shape ``(n,)`` or ``(n, ...)``.
      params: any tree of parameters. Only floating-point leaves have derivatives.
      inputs: an array, or a tree of arrays, with the examples as first axis, n.
      other_inputs: the examples of the columns, m; by default ``inputs``.
      outputs: ``"trace"`` for the sum over outputs of each one's kernel, ``"full"`` for
        all pairs of outputs. Static.
      chunk_size: number of examples of a Jacobian in memory; by default as many as take
        256 MB. Static.

    Returns:
      The kernel, shape ``(n, m)``; for ``"full"`` and k outputs ``(n, k, m, k)``, which
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
    example = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf)[1:], jnp.result_type(leaf)),
        inputs,
    )
    jacobian = _Jacobian(example_outputs, leaves, example)
    size = chunk_size or _default_chunk(jacobian, at_once)

    def gram(rows: Callable[[Any], Rows]) -> jax.Array:
        if other_inputs is None:
            return _symmetric(rows, _Chunks(inputs, size), at_once)
        columns = _Chunks(other_inputs, size)
        return _rectangular(rows, _Chunks(inputs, size), columns, at_once)

    if outputs == "full":
        matrix = gram(jacobian.of_all)
        return matrix.reshape(num_rows, num_outputs, -1, num_outputs)

    def of_some(numbers: jax.Array) -> jax.Array:
        return gram(functools.partial(jacobian.of_some, numbers))

    num_blocks = -(-num_outputs // min(num_outputs, jacobian.outputs_at_once))
    together = -(-num_outputs // num_blocks)
    # Numbers past the last one are of no output, and add nothing.
    numbers = jnp.arange(num_blocks * together, dtype=jnp.int32)
    blocks = numbers.reshape(num_blocks, together)
    result = jax.eval_shape(of_some, blocks[0])
    total, _ = jax.lax.scan(
        lambda total, block: (total + of_some(block), None),
        jnp.zeros(result.shape, result.dtype),
        blocks,
    )
    return total


class _Chunks:
    """Examples in chunks of one size; the last example may be repeated at the end."""

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
    """Joins blocks of shape (i, j, rows, columns) to one matrix."""
    outer, inner, rows, columns = blocks.shape
    return jnp.swapaxes(blocks, 1, 2).reshape(outer * rows, inner * columns)


class _Jacobian:
    """Rows of the Jacobian of some examples."""

    def __init__(
        self,
        example_outputs: Callable[..., jax.Array],
        leaves: Sequence[jax.Array],
        example: Any,
    ):
        self.layers, self._tapped = _layers.factored(example_outputs, leaves, example)
        self._leaves = list(leaves)
        self._offsets = {
            leaf: jnp.zeros(layer.offset.shape, layer.offset.dtype)
            for leaf, layer in self.layers.items()
        }
        self._plain = {
            index: leaf for index, leaf in enumerate(leaves) if index not in self.layers
        }

    @property
    def bytes_per_row(self) -> int:
        """Bytes of one output's gradient in one example, if it were not in factors.

        Factors take less, but the network's activations for an example do not.
        """
        return sum(
            jnp.size(leaf) * jnp.dtype(_norms.norm_dtype(leaf)).itemsize
            for leaf in self._leaves
        )

    @property
    def outputs_at_once(self) -> int:
        """As many as have factors of no more than the whole row of one output."""
        whole = sum(jnp.size(leaf) for leaf in self._leaves)
        own = sum(jnp.size(leaf) for leaf in self._plain.values())
        own += sum(layer.offset.size for layer in self.layers.values())
        return max(1, whole // max(1, own))

    @property
    def most_positions(self) -> int:
        """The largest number of rows of a layer's input."""
        return max((own.num_rows for own in self.layers.values()), default=1)

    def of_some(self, numbers: jax.Array, examples: Any) -> Rows:
        """The rows of some outputs, end to end in one for each example."""

        def gradients(example: Any) -> Any:
            outputs, pull_back, inputs = self._pulled_back(example)
            every = jnp.arange(outputs.size, dtype=jnp.int32)
            chosen = (every[None] == numbers[:, None]).astype(outputs.dtype)
            return jax.vmap(pull_back)(chosen), inputs

        return self._rows(*jax.vmap(gradients)(examples), joined=True)

    def of_all(self, examples: Any) -> Rows:
        """The rows of all outputs, one example after another."""

        def gradients(example: Any) -> Any:
            outputs, pull_back, inputs = self._pulled_back(example)
            every = jnp.eye(outputs.size, dtype=outputs.dtype)
            return jax.vmap(pull_back)(every), inputs

        return self._rows(*jax.vmap(gradients)(examples), joined=False)

    def _pulled_back(self, example: Any) -> Any:
        def outputs(offsets: Any, plain: Any) -> Any:
            leaves = list(self._leaves)
            for index, leaf in plain.items():
                leaves[index] = leaf
            return self._tapped(offsets, leaves, example)

        return jax.vjp(outputs, self._offsets, self._plain, has_aux=True)

    def _rows(
        self, gradients: Any, inputs: Mapping[int, jax.Array], *, joined: bool
    ) -> Rows:
        """The parts; joined, the outputs of an example are one, of all entries."""
        by_offset, by_leaf = gradients
        layers = []
        for index, layer in self.layers.items():
            own = _norms.widened(by_offset[index])
            n, k = own.shape[:2]
            own = own.reshape(n, k, layer.num_rows, layer.num_outputs)
            if joined:
                own = jnp.swapaxes(own, 1, 2).reshape(n, 1, layer.num_rows, -1)
            layers.append(Factors(_norms.widened(inputs[index]), own))
        return Rows(_flat(list(by_leaf.values()), 1 if joined else 2), layers)


def _flat(gradients: Sequence[jax.Array], num_axes: int) -> list[jax.Array]:
    """Gradients as rows of real numbers, in float32 at least."""
    flat = []
    for gradient in gradients:
        num_rows = math.prod(gradient.shape[:num_axes])
        rows = _norms.widened(gradient).reshape(num_rows, -1)
        is_complex = jnp.iscomplexobj(rows)
        flat += [jnp.real(rows), jnp.imag(rows)] if is_complex else [rows]
    return flat


def _contract(rows: Rows, columns: Rows) -> jax.Array:
    parts = [
        _products(left, right)
        for left, right in zip(rows.plain, columns.plain, strict=True)
    ]
    parts += [
        _products_of_factors(left, right)
        for left, right in zip(rows.layers, columns.layers, strict=True)
    ]
    with jax.numpy_dtype_promotion("standard"):  # leaves may be of several dtypes
        return functools.reduce(jnp.add, parts)


def _products(left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.matmul(left, right.T, precision="highest")


def _products_of_factors(left: Factors, right: Factors) -> jax.Array:
    """Inner products of a layer's gradients, summed over pairs of positions."""
    n, k, t, _ = left.gradients.shape
    m, j, u, _ = right.gradients.shape
    inputs = _products(
        left.inputs.reshape(n * t, -1), right.inputs.reshape(m * u, -1)
    ).reshape(n, 1, t, m, 1, u)
    gradients = _products(
        left.gradients.reshape(n * k * t, -1), right.gradients.reshape(m * j * u, -1)
    ).reshape(n, k, t, m, j, u)
    with jax.numpy_dtype_promotion("standard"):
        both = jnp.sum(inputs * gradients, axis=(2, 5))
    return both.reshape(n * k, m * j)


def _default_chunk(jacobian: _Jacobian, rows_per_example: int) -> int:
    """The number of examples with rows of `_CHUNK_BYTES` in all, at least one.

    The products of their factors have at most `_BLOCK_ROWS` rows.
    """
    num_bytes = max(1, rows_per_example * jacobian.bytes_per_row)
    most = _BLOCK_ROWS // (jacobian.most_positions * rows_per_example)
    return max(1, min(most, _CHUNK_BYTES // num_bytes))
