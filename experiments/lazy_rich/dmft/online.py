r"""The limit of many examples for each dimension, where each is seen as if once.

As :math:`\nu \to \infty`, the memory and the noise of `linear` vanish, and the overlaps
follow closed equations (Saad and Solla, 1995). Training and test loss are equal.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.lazy_rich.dmft import averages
from experiments.lazy_rich.dmft.linear import overlaps_of
from experiments.lazy_rich.dmft.setting import Overlaps, Setting, check_setting
from experiments.lazy_rich.polynomial.theory import LossTerms


class Online(NamedTuple):
    """Results of the limit at one time; in a curve, at T + 1 times."""

    terms: LossTerms
    overlaps: Overlaps

    @property
    def loss(self) -> jax.Array:
        """The training and test loss."""
        return self.terms.total


def solve(setting: Setting, *, num_steps: int, center: bool) -> Online:
    """Losses and overlaps of all times, from 0 to `num_steps`.

    Args:
      setting: of the network; its ν is not read.
      num_steps: T.
      center: whether the output is less that of the initial network.

    Raises:
      ValueError: as of `solver.solve`, but for the memory.
    """
    check_setting(setting)
    width = setting.width

    def update(units: tuple, _: None) -> tuple[tuple, Online]:
        carried, along = units
        overlaps = overlaps_of(carried, along, setting)
        respond = averages.mean_response(overlaps, setting, center=center)
        first = averages.mean_initial_response(overlaps, setting) * center
        target = averages.mean_target_response(overlaps, setting)
        gained = respond @ carried + (respond + first)
        after = (
            carried + setting.time_step * gained,
            along + setting.time_step * (respond @ along + target),
        )
        terms = averages.loss_terms(overlaps, setting, center=center)
        return after, Online(terms, overlaps)

    with jax.default_matmul_precision("highest"):
        start = jnp.zeros((width, width)), jnp.zeros(width)
        return jax.lax.scan(update, start, length=num_steps + 1)[1]
