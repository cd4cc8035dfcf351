"""A root of the covariance of samples, row by row, from the samples themselves.

Gradients of consecutive updates are almost alike, and float32 cannot factorise their
covariance: a part of 1e-4 of a gradient is 1e-8 of its square. The samples minus their
projections on earlier samples keep that part.
"""

import jax
import jax.numpy as jnp

_SMALLEST = 1e-5
"""A row is taken as rounding if its new part is below this share of its norm."""


def extend(
    basis: jax.Array, values: jax.Array, start: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Adds rows to an orthonormal basis of samples.

    Args:
      basis: of the rows before, else 0: shape (n, S), of mean square 1.
      values: the new rows, shape (N, S).
      start: index of the first of them in the basis.

    Returns:
      The basis, and the coefficients of these rows in it, shape (N, n): the next rows
      of the lower triangular root of the mean of values times values.
    """

    def add(index: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple:
        basis, rows = carry
        own = values[index]
        first, rest = _parts(basis, own)
        again, rest = _parts(basis, rest)  # what rounding left in the first
        norm = jnp.sqrt(jnp.mean(jnp.square(rest)))
        is_new = norm > _SMALLEST * jnp.sqrt(jnp.mean(jnp.square(own)))
        norm = jnp.where(is_new, norm, 0)
        row = (first + again).at[start + index].set(norm)
        direction = jnp.where(is_new, rest / jnp.where(is_new, norm, 1), 0)
        return basis.at[start + index].set(direction), rows.at[index].set(row)

    rows = jnp.zeros((len(values), len(basis)))
    return jax.lax.fori_loop(0, len(values), add, (basis, rows))


def _parts(basis: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Coefficients in a basis, and the rest."""
    coefficients = basis @ values / values.shape[-1]
    return coefficients, values - coefficients @ basis
