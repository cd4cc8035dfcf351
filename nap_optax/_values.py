"""Compares computations of functions by numbers: equal numbers, equal computations."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import numpy as np

__all__ = ["Values"]

# Primitives that call another function, which is compared by what it computes.
CALLS = frozenset(
    [
        "checkpoint",
        "closed_call",
        "core_call",
        "custom_jvp_call",
        "custom_vjp_call",
        "custom_vjp_call_jaxpr",
        "jit",
        "pjit",
        "remat2",
    ]
)
# Constants up to this size are compared by value, larger ones by identity.
LARGEST_CONSTANT = 4096


class Values:
    """Numbers the values in traced functions: equal numbers, equal computations.

    A value is identified by its operation, the options and the values that go in, and
    an argument by its path. So two functions can be compared if their arguments have
    the same paths. (Values with different numbers may still be equal, if they are
    computed in another way.)

    Examples:
      >>> import jax.numpy as jnp
      >>> values = Values()
      >>> x = jnp.ones(2)
      >>> one = values.of_outputs(lambda x, y: {"a": x + 1, "b": x * y}, x, x)
      >>> other = values.of_outputs(lambda x, _: {"a": x + 1, "b": x * x}, x, ())
      >>> {path: one[path] == other[path] for path in one}
      {"['a']": True, "['b']": False}
    """

    def __init__(self) -> None:
        """Starts without any values."""
        self._numbers: dict[Hashable, int] = {}
        self._kept: list[Any] = []  # so that no other object gets the same id

    def of_outputs(self, function: Callable[..., Any], *args: Any) -> dict[str, int]:
        """The number of each output, by its path.

        Args:
          function: the function to trace.
          *args: trees of arrays or of ``jax.ShapeDtypeStruct``.

        Returns:
          Numbers by path, as ``jax.tree_util.keystr`` spells it.
        """
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        inputs = [self._number(("input", path)) for path in _paths(args)]
        outputs = self._closed(closed, inputs)
        return dict(zip(_paths(shapes), outputs, strict=True))

    def _number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _closed(self, closed: Any, inputs: Sequence[int]) -> list[int]:
        # A call's jaxpr may come without constants.
        jaxpr = getattr(closed, "jaxpr", closed)
        known = dict(zip(jaxpr.invars, inputs, strict=True))
        for var, constant in zip(
            jaxpr.constvars, getattr(closed, "consts", ()), strict=True
        ):
            known[var] = self._constant(constant)

        def read(atom: Any) -> int:
            if hasattr(atom, "val"):  # a literal
                return self._number((str(atom.aval), self._constant(atom.val)))
            return known[atom]

        for equation in jaxpr.eqns:
            outputs = self._equation(equation, [read(x) for x in equation.invars])
            known.update(zip(equation.outvars, outputs, strict=True))
        return [read(x) for x in jaxpr.outvars]

    def _equation(self, equation: Any, inputs: Sequence[int]) -> Sequence[int]:
        name, params = equation.primitive.name, equation.params
        if name in CALLS:
            for called in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
                if called in params:
                    return self._closed(params[called], inputs)
        if name == "cond":
            index, *operands = inputs
            branches = [self._closed(b, operands) for b in params["branches"]]
            return [
                self._number(("cond", index, chosen))
                for chosen in zip(*branches, strict=True)
            ]
        key: Hashable = (name, self._option(params), tuple(inputs))
        if "callback" in name:  # the Python function that it calls cannot be compared
            key = (key, self._of_its_own(equation))
        return [self._number((key, i)) for i in range(len(equation.outvars))]

    def _option(self, option: Any) -> Hashable:
        if isinstance(option, dict):
            return tuple((k, self._option(v)) for k, v in sorted(option.items()))
        if isinstance(option, tuple | list):
            return tuple(map(self._option, option))
        if isinstance(option, np.ndarray | jax.Array):
            return self._constant(option)
        if hasattr(option, "eqns") or hasattr(option, "jaxpr"):
            # The text of a function has its address, which differs in each trace.
            return re.sub("0x[0-9a-f]+", "", str(option)), self._inside(option)
        return re.sub("0x[0-9a-f]+", "", str(option))

    def _inside(self, program: Any) -> Hashable:
        """The constants of all programs within, which a program's text lacks."""
        own = tuple(map(self._constant, getattr(program, "consts", ())))
        inner = tuple(
            self._inside(part)
            for equation in getattr(program, "jaxpr", program).eqns
            for option in equation.params.values()
            for part in (option if isinstance(option, tuple | list) else (option,))
            if hasattr(part, "eqns") or hasattr(part, "jaxpr")
        )
        callbacks = tuple(
            self._of_its_own(equation)
            for equation in getattr(program, "jaxpr", program).eqns
            if "callback" in equation.primitive.name
        )
        return own, inner, callbacks

    def _of_its_own(self, thing: Any) -> int:
        self._kept.append(thing)
        return self._number(("own", id(thing)))

    def _constant(self, constant: Any) -> int:
        if not isinstance(constant, jax.core.Tracer):
            size = getattr(constant, "size", 1)
            if size <= LARGEST_CONSTANT and _is_number(constant):
                array = np.asarray(constant)
                return self._number((array.shape, str(array.dtype), array.tobytes()))
        return self._of_its_own(constant)


def _is_number(constant: Any) -> bool:
    # A random key is no number. An array that is also on other hosts cannot be read.
    if isinstance(constant, jax.Array):
        return constant.is_fully_addressable and not jax.dtypes.issubdtype(
            constant.dtype, jax.dtypes.extended
        )
    return isinstance(constant, np.ndarray | np.generic | bool | int | float | complex)


def _paths(tree: Any) -> list[str]:
    with_paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [jax.tree_util.keystr(path) for path, _ in with_paths]
