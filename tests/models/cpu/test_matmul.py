import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.cpu.matmul import matmul_few_rows, matmul_tall


@pytest.mark.parametrize("product", [matmul_few_rows, matmul_tall])
def test_products_and_their_derivatives(product):
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        inputs, kernel, cotangent = (
            jnp.asarray(generator.normal(size=shape))
            for shape in ((5, 4), (4, 2), (5, 2))
        )
        output, pullback = jax.vjp(product, inputs, kernel)
        expected, plain_pullback = jax.vjp(jnp.matmul, inputs, kernel)
        np.testing.assert_allclose(output, expected, rtol=1e-12)
        chex.assert_trees_all_close(
            pullback(cotangent), plain_pullback(cotangent), rtol=1e-12
        )
        tangents = (jnp.cos(inputs), jnp.sin(kernel))
        np.testing.assert_allclose(
            jax.jvp(product, (inputs, kernel), tangents)[1],
            jax.jvp(jnp.matmul, (inputs, kernel), tangents)[1],
            rtol=1e-12,
        )
