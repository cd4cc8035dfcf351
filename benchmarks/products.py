"""Operations of a program's matrix products, with loops counted as often as they run.

XLA's own estimate counts the body of a loop once.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core


def product_flops(function: Callable[..., Any], *args: Any) -> int:
    """A multiply and an add for each term of each product of a function's program.

    Of branches, only the largest counts.

    Raises:
      ValueError: a loop ends when a condition holds, so that its length is not known.
    """
    return _flops(jax.make_jaxpr(function)(*args).jaxpr)


def _flops(program: Any) -> int:
    total = 0
    for equation in program.eqns:
        name, inner = equation.primitive.name, list(_programs(equation))
        if name == "dot_general":
            contracted = equation.params["dimension_numbers"][0][0]
            shape = equation.invars[0].aval.shape
            terms = math.prod(shape[axis] for axis in contracted)
            total += 2 * terms * equation.outvars[0].aval.size
        elif name == "while" and any(map(_flops, inner)):
            raise ValueError("a loop of unknown length has products")
        elif name == "cond":
            total += max(map(_flops, inner))
        else:
            total += equation.params.get("length", 1) * sum(map(_flops, inner))
    return total


def _programs(equation: Any) -> Iterator[Any]:
    """The programs that an equation calls."""
    for value in equation.params.values():
        for own in value if isinstance(value, tuple | list) else (value,):
            if isinstance(own, core.ClosedJaxpr):
                yield own.jaxpr
            elif isinstance(own, core.Jaxpr):
                yield own
