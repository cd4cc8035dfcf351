"""Finds matrices among the parameters with gradients that are products of two factors.

If a matrix W is used once, in a product x W, its gradient is x^T g, where g is the
gradient of the product. The inner product of the gradients of two examples is then
(x · x') (g · g'), summed over the rows of x, and needs no gradient of W. A look-up of
rows of W is such a product too: each row of x has a one and else zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

__all__ = ["Layer", "factored"]

# Primitives that call their parameter `jaxpr` on their operands.
_CALLS = ("pjit", "jit", "closed_call")


class Layer(NamedTuple):
    """One use of a matrix, in one example alone: as a factor, or as a table."""

    num_rows: int  # of x, such as positions in a sequence
    num_inputs: int
    num_outputs: int
    offset: Any  # ShapeDtypeStruct of the product

    @property
    def is_worthwhile(self) -> bool:
        """Whether the factors need less than the gradient, for a pair of examples."""
        factors = self.num_rows**2 * (self.num_inputs + self.num_outputs)
        return factors < self.num_inputs * self.num_outputs


Tapped = Callable[
    [Mapping[int, jax.Array], Sequence[jax.Array], Any],
    tuple[jax.Array, dict[int, jax.Array]],
]
"""From offsets of products by leaf, leaves and an example to outputs and x by leaf."""


def factored(
    function: Callable[..., jax.Array], leaves: Sequence[jax.Array], example: Any
) -> tuple[dict[int, Layer], Tapped]:
    """Finds the matrices with gradients that are cheaper as two factors.

    Args:
      function: ``(leaves, example) -> outputs``.
      leaves: the parameters.
      example: one example; shapes suffice.

    Returns:
      The layers by the index of their matrix, and the function with taps in these
      layers. The factors are x, shape ``(rows, inputs)``, and the gradient by the
      layer's offset, shape ``(rows, outputs)``.
    """
    closed = jax.make_jaxpr(function)(list(leaves), example)
    uses: dict[int, list[Layer | None]] = {}

    def record(leaf: int, layer: Layer | None, *_: Any) -> None:
        uses.setdefault(leaf, []).append(layer)

    def run(tap: Any, leaves: Sequence[jax.Array], example: Any) -> jax.Array:
        arguments = jax.tree.leaves((list(leaves), example))
        marks = {index: index for index in range(len(leaves))}
        (outputs,) = _run(closed.jaxpr, closed.consts, arguments, marks, tap)
        return outputs

    jax.eval_shape(lambda *args: run(record, *args), list(leaves), example)
    layers = {
        leaf: found[0]
        for leaf, found in uses.items()
        if len(found) == 1 and found[0] is not None and found[0].is_worthwhile
    }

    def tapped(
        offsets: Mapping[int, jax.Array], leaves: Sequence[jax.Array], example: Any
    ) -> tuple[jax.Array, dict[int, jax.Array]]:
        inputs: dict[int, jax.Array] = {}

        def tap(
            leaf: int, layer: Layer | None, rows: Any = None, product: Any = None
        ) -> jax.Array | None:
            if leaf not in layers:
                return None
            inputs[leaf] = rows
            return product + offsets[leaf]

        return run(tap, leaves, example), inputs

    return layers, tapped


def _run(
    jaxpr: Any,
    consts: Sequence[Any],
    arguments: Sequence[Any],
    marks: Mapping[int, int],
    tap: Callable[..., Any],
) -> list[Any]:
    """Evaluates a program and calls `tap` at each use of a marked argument."""
    values = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= dict(zip(jaxpr.invars, arguments, strict=True))
    marked = {jaxpr.invars[place]: leaf for place, leaf in marks.items()}

    def read(variable: Any) -> Any:
        is_literal = isinstance(variable, core.Literal)
        return variable.val if is_literal else values[variable]

    def leaf_of(variable: Any) -> int | None:
        return None if isinstance(variable, core.Literal) else marked.get(variable)

    for equation in jaxpr.eqns:
        operands = [read(variable) for variable in equation.invars]
        own = {
            place: leaf
            for place, variable in enumerate(equation.invars)
            if (leaf := leaf_of(variable)) is not None
        }
        called = _called(equation) if own else None
        if called is not None:
            inner, skipped = called
            inner_marks = {place - skipped: leaf for place, leaf in own.items()}
            inner_operands = operands[skipped:]
            found = _run(inner.jaxpr, inner.consts, inner_operands, inner_marks, tap)
        else:
            found = _alone(jaxpr, equation, values)
            for place, leaf in own.items():
                use = _use(equation, operands, place, own)
                with_offset = tap(leaf, *use, found[0])
                if with_offset is not None:
                    found = [with_offset]
        values |= dict(zip(equation.outvars, found, strict=True))
    for variable in jaxpr.outvars:
        if (leaf := leaf_of(variable)) is not None:
            tap(leaf, None)
    return [read(variable) for variable in jaxpr.outvars]


def _called(equation: Any) -> tuple[Any, int] | None:
    """The program that an equation calls, and how many operands it does not get."""
    if equation.primitive.name in _CALLS:
        return equation.params["jaxpr"], 0
    # `jax.lax.platform_dependent`: its default is the same on every platform.
    platforms = equation.params.get("branches_platforms")
    if equation.primitive.name == "cond" and platforms and None in platforms:
        return equation.params["branches"][platforms.index(None)], 1
    return None


def _alone(jaxpr: Any, equation: Any, values: Mapping[Any, Any]) -> list[Any]:
    """Evaluates one equation of a program."""
    variables = [v for v in equation.invars if not isinstance(v, core.Literal)]
    variables = list(dict.fromkeys(variables))
    single = jaxpr.replace(
        constvars=[],
        invars=variables,
        outvars=equation.outvars,
        eqns=[equation],
    )
    run = core.jaxpr_as_fun(core.ClosedJaxpr(single, []))
    return list(run(*(values[variable] for variable in variables)))


def _use(
    equation: Any, operands: Sequence[Any], place: int, own: Mapping[int, int]
) -> tuple[Layer | None, Any]:
    """The use of the matrix that is a given operand of a product, and the rows of x."""
    if equation.primitive.name == "gather":
        return _lookup(equation, operands, place)
    if equation.primitive.name != "dot_general" or len(own) != 1:
        return None, None
    contracted, batched = equation.params["dimension_numbers"]
    product = equation.outvars[0].aval
    # Rows of x come first where the matrix is the second operand.
    if place != 1 or batched[0] or not jnp.issubdtype(product.dtype, jnp.floating):
        return None, None
    x, matrix = operands
    axes = tuple(contracted[0])
    kept = tuple(axis for axis in range(jnp.ndim(x)) if axis not in axes)
    num_inputs = math.prod(jnp.shape(x)[axis] for axis in axes)
    num_rows = math.prod(jnp.shape(x)[axis] for axis in kept)
    layer = Layer(
        num_rows,
        num_inputs,
        jnp.size(matrix) // max(1, num_inputs),
        jax.ShapeDtypeStruct(product.shape, product.dtype),
    )
    return layer, jnp.transpose(x, kept + axes).reshape(num_rows, num_inputs)


def _lookup(
    equation: Any, operands: Sequence[Any], place: int
) -> tuple[Layer | None, Any]:
    """As `_use`, of rows of a table that are looked up by their numbers."""
    table, product = operands[0], equation.outvars[0].aval
    numbers = equation.params["dimension_numbers"]
    kept = jnp.ndim(operands[1]) - 1
    is_of_rows = (
        place == 0
        and jnp.ndim(operands[1])
        and numbers.start_index_map == numbers.collapsed_slice_dims == (0,)
        and not numbers.operand_batching_dims
        and numbers.offset_dims == tuple(range(kept, len(product.shape)))
        and equation.params["slice_sizes"][1:] == jnp.shape(table)[1:]
    )
    if not is_of_rows or not jnp.issubdtype(product.dtype, jnp.floating):
        return None, None
    num_inputs = len(table)
    indices = operands[1].reshape(-1)
    if equation.params["mode"] == lax.GatherScatterMode.CLIP:
        largest = min(num_inputs - 1, int(jnp.iinfo(indices.dtype).max))
        indices = jnp.clip(indices, 0, largest)
    indices = indices.astype(jnp.int32)  # rows may be more than bytes can number
    layer = Layer(
        len(indices),
        num_inputs,
        jnp.size(table) // num_inputs,
        jax.ShapeDtypeStruct(product.shape, product.dtype),
    )
    # Numbers outside of the table have a row of zeros, and no gradient.
    return layer, jax.nn.one_hot(indices, num_inputs, dtype=product.dtype)
