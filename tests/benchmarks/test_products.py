import jax
import jax.numpy as jnp
import pytest

from benchmarks.products import product_flops

SQUARE = jnp.ones((4, 4))


def test_products_are_counted_as_often_as_they_run():
    def function(x):
        batched = jnp.einsum("bij,bjk->bik", jnp.ones((3, 2, 5)), jnp.ones((3, 5, 7)))
        looped = jax.lax.scan(lambda y, _: (y @ y, None), x, length=10)[0]
        return jnp.sum(batched) + jnp.sum(jax.lax.map(lambda row: row @ looped, x))

    batched, looped, mapped = 2 * 3 * 2 * 5 * 7, 10 * 2 * 4**3, 4 * 2 * 4 * 4
    assert product_flops(function, SQUARE) == batched + looped + mapped


def test_of_branches_the_larger_counts():
    def function(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x)

    assert product_flops(jax.jit(function), SQUARE) == 2 * 2 * 4**3


def test_a_loop_of_unknown_length_is_refused():
    def function(x):
        return jax.lax.while_loop(lambda x: x[0, 0] < 9, lambda x: x @ x, x)

    with pytest.raises(ValueError, match="unknown length"):
        product_flops(function, SQUARE)
