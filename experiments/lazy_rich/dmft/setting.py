r"""What the theory is of, and what the units are at first.

The polynomial task with one direction β, :math:`|\beta|^2 = D`, as P examples of D
dimensions grow at a fixed ratio :math:`\nu = P / D` and the width N stays. Gradient
descent at rate :math:`\eta_0 N / \alpha^2` becomes steps of length
:math:`\Delta t = 2 \eta_0 / D`, in which

.. math::

    w_i \leftarrow w_i + \frac{\Delta t}{\nu} \sum_\mu g_{i\mu} x_\mu, \qquad
    g_{i\mu} = \frac1\alpha (y_\mu - f_\mu) \, \phi'(w_i \cdot x_\mu).

The theory (Kumar et al., 2024, after Mignacco et al., 2020) has no dimensions. Symbols,
here and beside: N units, T updates, S samples.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lazy_rich.polynomial.moments import Scalar


class Setting(NamedTuple):
    """The numbers that the theory depends on; all may be traced."""

    nu: Scalar
    """Examples for each dimension."""
    alpha: Scalar
    """Factor of the output."""
    epsilon: Scalar
    """Curvature of the units h + epsilon / 2 h^2."""
    time_step: Scalar
    """Length of an update."""
    overlaps: jax.Array
    """Initial w_i · β / D, shape (N,)."""
    power: Scalar
    """Initial |w_i|² / D, at least the sum of the squared overlaps; otherwise the units
    are orthogonal."""

    @property
    def width(self) -> int:
        """N."""
        return len(self.overlaps)


def check_setting(setting: Setting) -> None:
    """Raises `ValueError` unless there are such networks; traced numbers pass."""
    for name in ("nu", "alpha", "time_step", "power", "epsilon"):
        value = getattr(setting, name)
        is_positive = name != "epsilon"
        if not isinstance(value, jax.core.Tracer) and not (
            np.isfinite(value) and (value > 0 if is_positive else value >= 0)
        ):
            least = "greater than 0" if is_positive else "at least 0"
            raise ValueError(f"{name}={value}: must be finite and {least}")
    shape = np.shape(setting.overlaps)
    if len(shape) != 1 or shape[0] < 2:
        raise ValueError(
            f"overlaps must have shape (N,) with at least 2 units, got {shape}: one "
            "cannot cancel its linear part"
        )
    if any(
        isinstance(own, jax.core.Tracer) for own in (setting.overlaps, setting.power)
    ):
        return
    squares = float(np.sum(np.square(setting.overlaps)))
    # NaN fails this. Float32 may round a sum up.
    if not squares <= (1 + 1e-5) * float(setting.power):
        raise ValueError(
            f"overlaps: the sum of their squares, {squares:g}, must be at most the "
            f"power, {float(setting.power):g}"
        )


class Overlaps(NamedTuple):
    """Overlaps of the units, as far as averages over inputs depend on them.

    The weights are w at first and w + d now. All products are divided by D.
    """

    target: jax.Array  # (N,) of w with β
    initial: jax.Array  # (N, N) of w with w
    target_change: jax.Array  # (N,) of d with β
    change_initial: jax.Array  # (N, N) of d with w
    change: jax.Array  # (N, N) of d with d

    @property
    def past(self) -> jax.Array:
        """Products of units now with initial units, shape (N, N)."""
        return self.initial + self.change_initial

    @property
    def now(self) -> jax.Array:
        """Products of units now, shape (N, N)."""
        return self.past + self.change_initial.mT + self.change


def initial_overlaps(setting: Setting) -> tuple[jax.Array, jax.Array]:
    """Overlaps with β and of the units with each other at first, (N,) and (N, N)."""
    return jnp.asarray(setting.overlaps), setting.power * jnp.eye(setting.width)


def part_beside_target(setting: Setting) -> jax.Array:
    """A symmetric root of the units' overlaps minus the part along β, shape (N, N)."""
    along = jnp.asarray(setting.overlaps)
    share = along @ along / setting.power
    rest = jnp.sqrt(jnp.maximum(1 - share, 0))
    shrink = jnp.outer(along, along) / (setting.power * (1 + rest))
    return jnp.sqrt(setting.power) * (jnp.eye(setting.width) - shrink)
