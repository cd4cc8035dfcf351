"""Checks of arguments.

An error is one line with the argument's name, its value and what is allowed. Traced
values cannot be read, so they pass.
"""

from __future__ import annotations

import difflib
import inspect
import math
import operator
import sys
import warnings
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

# The most characters of a value in an error.
_LONGEST = 80
_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)
# Names that resemble those read here but may be meant for other transformations.
_OTHERS = frozenset({"reward", "rewards"})
# Packages that are not the caller's code.
_INNER = frozenset({"nap_optax", "optax", "jax", "flax", "equinox"})


def shown(value: Any) -> str:
    """The text of a value in an error: one line, shortened if long.

    Examples:
      >>> print(shown(np.ones((2, 2))), shown("a" * 1000))
      array([[1., 1.], [1., 1.]]) 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...
    """
    try:
        text = " ".join(repr(value).split())
    except Exception:  # such as of an array that was donated
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def concrete(name: str, value: Any) -> np.ndarray | None:
    """The argument as a numpy array, or ``None`` if it is traced.

    It is a numpy array because under ``jit`` jax also traces comparisons of concrete
    arrays.

    Raises:
      ValueError: if it is not a real number or an array of them.
    """
    if isinstance(value, jax.core.Tracer):
        number, dtype = None, value.dtype
    else:
        number = _as_array(value)
        dtype = number.dtype
    if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
        raise ValueError(f"{name}={shown(value)}: must be a number")
    return number


def _as_array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception:  # an object that is no number may raise anything
        return np.asarray(None)


def scalar(
    name: str,
    value: Any,
    allowed: str = "one number",
    holds: Callable[[Any], bool] = lambda _: True,
) -> None:
    """Checks that an argument is one number for which a condition holds.

    Raises:
      ValueError: if it is not; ``allowed`` says in words which values are.
    """
    try:
        number = concrete(name, value)
        fits = not np.ndim(value) and (number is None or bool(holds(number)))
        if isinstance(value, int) and abs(value) >= 2**31:
            fits, allowed = False, f"{allowed}; larger than int32 only as a float"
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name}={shown(value)}: must be {allowed}")


def finite(
    name: str, value: Any, minimum: float = -math.inf, *, besides: str = ""
) -> None:
    """Checks that an argument is one number of ``minimum`` or more, finite in float32.

    Most computations with it are in float32, where a larger number would become
    infinite without an error.

    Args:
      name: the argument's name.
      value: the argument's value.
      minimum: the least value allowed.
      besides: what else is allowed, in words for the error.

    Raises:
      ValueError: if it is not.
    """
    least = "" if minimum == -math.inf else f" of {minimum:g} or more"
    scalar(
        name,
        value,
        f"a number{least}, finite in float32{besides}",
        lambda number: minimum <= number and abs(number) <= _LARGEST,
    )


def positive(name: str, value: Any, *, besides: str = "") -> None:
    """Checks that an argument is one positive number that float32 can hold.

    Args:
      name: the argument's name.
      value: the argument's value.
      besides: what else is allowed, in words for the error.

    Raises:
      ValueError: if it is not.
    """
    scalar(
        name,
        value,
        f"{besides}a positive number, finite and not 0 in float32",
        lambda number: _SMALLEST <= number <= _LARGEST,
    )


def count(name: str, value: Any) -> None:
    """Checks that an argument is a number of updates, 1 or more, that int32 can hold.

    Raises:
      ValueError: if it is not.
    """
    scalar(
        name,
        value,
        "a whole number of 1 or more, less than 2**31",
        lambda number: 1 <= float(number) < 2**31 and float(number) % 1 == 0,
    )


def static_count(name: str, value: Any) -> int:
    """The argument as a Python int of 1 or more, fixed when the program is traced.

    Raises:
      ValueError: if it is not.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | jax.Array):
        raise ValueError(
            f"{name}={shown(value)}: must be a Python int; under "
            "optax.inject_hyperparams, "
            f'name it in static_args=("{name}",)'
        )
    if not 1 <= number < 2**31:
        raise ValueError(f"{name}={shown(value)}: must be 1 or more, less than 2**31")
    return number


def array(name: str, value: Any) -> None:
    """Checks that an argument is an array of numbers, or one number.

    Raises:
      ValueError: if it is not.
    """
    kinds = (jax.Array, np.ndarray, np.generic, int, float, complex)
    fits = isinstance(value, kinds) or hasattr(value, "__jax_array__")
    dtype = getattr(value, "dtype", np.dtype(float))
    if not fits or not (
        jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_)
    ):
        raise ValueError(f"{name}={shown(value)}: must be an array of numbers")


def takes_one(name: str, function: Callable[..., Any], what: str) -> None:
    """Checks that a function can be called with one argument.

    Raises:
      ValueError: if it cannot, or if it is a class in place of an instance.
    """
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        fits = False
    except ValueError:  # the function does not tell its arguments
        fits = True
    else:
        fits = True
    if not fits or isinstance(function, type):
        raise ValueError(
            f"{name}={shown(function)}: must be a function of one argument, {what}"
        )


def schedule(name: str, function: Any) -> Callable[[Any], jax.Array]:
    """Wraps a schedule in a check of its values.

    Raises:
      ValueError: if it is no function of one argument; from the returned schedule, if a
        value is not one number.
    """
    if not callable(function):
        raise ValueError(
            f"{name}={shown(function)}: must be an optax.Schedule (for a constant, "
            "optax.constant_schedule); under optax.inject_hyperparams, name it in "
            f'static_args=("{name}",)'
        )
    takes_one(name, function, "the count of updates")

    def checked(count: Any) -> jax.Array:
        value = function(count)
        scalar(f"the value of {name}", value)
        # A copy: a constant schedule may return the caller's own array.
        return jnp.array(value, jnp.result_type(float))

    return checked


def flag(name: str, value: Any) -> None:
    """Checks that an argument is ``True`` or ``False``, not traced.

    Raises:
      ValueError: if it is not.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(
            f"{name}={shown(value)}: must be True or False; under "
            f'optax.inject_hyperparams, name it in static_args=("{name}",)'
        )


def is_transformation(name: str, value: Any) -> None:
    """Checks that an argument is a gradient transformation.

    Raises:
      ValueError: if it is not, such as a factory that was not called.
    """
    if not isinstance(value, optax.GradientTransformation):
        raise ValueError(
            f"{name}={shown(value)}: must be an optax.GradientTransformation, such as "
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


def warn_of_misspelt(name: str, extra_args: Iterable[str]) -> None:
    """Warns if the name of an extra argument looks like a typing error.

    By optax's convention an update takes any extra argument, because others in the
    chain may read it. A misspelt ``rewarm`` would be ignored without an error.

    Args:
      name: the argument that is read, and was not given.
      extra_args: the names of the arguments that were given.
    """
    for other in extra_args:
        if other in _OTHERS or name not in difflib.get_close_matches(
            other.lower(), [name], cutoff=0.75
        ):
            continue
        warn(f"update was given {other}=..., which nothing reads: do you mean {name}?")


def warn(message: str) -> None:
    """Warns at the caller's line, outside this library, optax, jax and flax."""
    level, frame = 1, sys._getframe()
    while frame.f_back and _package(frame) in _INNER:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
