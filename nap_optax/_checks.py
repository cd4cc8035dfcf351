"""Checks of arguments: one line that names the argument, its value and what may be.

What is traced cannot be looked at and passes.
"""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

# Packages whose lines are not the caller's.
_INNER = frozenset({"nap_optax", "optax", "jax", "flax", "equinox"})


def concrete(name: str, value: Any) -> np.ndarray | None:
    """The argument as a numpy array, or ``None`` if it is traced.

    In numpy, because under ``jit`` jax traces comparisons of concrete arrays too.

    Raises:
      ValueError: if it is not a real number or an array of them.
    """
    if isinstance(value, jax.core.Tracer):
        return None
    try:
        number = np.asarray(value)
    except (TypeError, ValueError):
        number = np.asarray(None)
    if not (
        jnp.issubdtype(number.dtype, jnp.floating)
        or jnp.issubdtype(number.dtype, jnp.integer)
    ):
        raise ValueError(f"{name}={value!r}: must be a number")
    return number


def scalar(name: str, value: Any, allowed: str, holds: Callable[[Any], bool]) -> None:
    """Checks that an argument is one number for which a condition holds.

    Raises:
      ValueError: if it is not; ``allowed`` says in words what may be.
    """
    try:
        number = concrete(name, value)
        fits = number is None or (not number.ndim and bool(holds(number)))
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name}={value!r}: must be {allowed}")


def count(name: str, value: Any) -> None:
    """Checks that an argument is a number of updates, 1 or more, that int32 can hold.

    Raises:
      ValueError: if it is not.
    """
    scalar(
        name,
        value,
        "a whole number of 1 or more, less than 2**31",
        lambda number: 1 <= number < 2**31 and number % 1 == 0,
    )


def static_count(name: str, value: Any) -> int:
    """The argument as a Python int of 1 or more, which shapes the program.

    Raises:
      ValueError: if it is not.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | jax.Array):
        raise ValueError(
            f"{name}={value!r}: must be a Python int; under optax.inject_hyperparams, "
            f'name it in static_args=("{name}",)'
        )
    if number < 1:
        raise ValueError(f"{name}={value}: must be 1 or more")
    return number


def is_transformation(name: str, value: Any) -> None:
    """Checks that an argument is a gradient transformation.

    Raises:
      ValueError: if it is not, such as a factory that was not called.
    """
    if not isinstance(value, optax.GradientTransformation):
        raise ValueError(
            f"{name}={value!r}: must be an optax.GradientTransformation, such as "
            + (
                "what its gradient_transformation() gives"
                if hasattr(value, "gradient_transformation")
                else "optax.scale_by_adam()"
            )
        )


def has_params(name: str, params: Any) -> None:
    """Checks that ``update`` was given the parameters.

    Raises:
      ValueError: if it was not.
    """
    if params is None:
        raise ValueError(
            f"{name} needs the parameters: call update(updates, state, params)"
        )


def are_numbers(**arguments: Any) -> None:
    """Checks that each argument is a number or an array of them, or is traced.

    Raises:
      ValueError: if one is not.
    """
    for name, value in arguments.items():
        concrete(name, value)


def at_least(minimum: float, *, whole: bool = False, **arguments: Any) -> None:
    """Checks that each argument is ``minimum`` or more, and whole if asked to be.

    Raises:
      ValueError: if one is not.
    """
    for name, value in arguments.items():
        number = concrete(name, value)
        if number is None:
            continue
        if not np.all(number >= minimum) or (whole and np.any(number % 1 != 0)):
            kind = "a whole number of " if whole else ""
            raise ValueError(f"{name}={value}: must be {kind}{minimum} or more")


def warn(message: str) -> None:
    """Warns at the line of the caller's, outside this library and what called it."""
    level, frame = 1, sys._getframe()
    while frame.f_back and _package(frame) in _INNER:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
