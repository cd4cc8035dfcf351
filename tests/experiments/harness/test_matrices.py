import jax.numpy as jnp
import numpy as np

from experiments.harness.matrices import of_matrices, scaled_matrices

PARAMS = {"kernel": jnp.full((2, 2), 3.0), "scale": jnp.full(2, 3.0)}


def test_only_matrices_are_scaled():
    scaled = scaled_matrices(PARAMS, 2.0)
    np.testing.assert_array_equal(scaled["kernel"], np.full((2, 2), 6.0))
    np.testing.assert_array_equal(scaled["scale"], np.full(2, 3.0))


def test_what_is_of_no_matrix_is_left_out():
    tree = {"kernel": "of the kernel", "scale": "of the scale"}
    assert of_matrices(PARAMS, tree) == {"kernel": "of the kernel", "scale": None}
