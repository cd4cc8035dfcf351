"""What is reset, and what Adam forgets with it."""

import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness import resets

PARAMS = {"body": jnp.zeros(2), "head": jnp.ones(2)}


def head(params):
    return {name: name == "head" for name in params}


def test_replace_takes_the_leaves_of_the_mask():
    fresh = {"body": jnp.full(2, 3.0), "head": jnp.full(2, 4.0)}
    new = resets.replace(PARAMS, fresh, head)
    np.testing.assert_array_equal(new["body"], PARAMS["body"])
    np.testing.assert_array_equal(new["head"], fresh["head"])


def test_count_and_moments_of_the_mask_begin_again():
    adam = optax.scale_by_adam()
    tx = resets.restart(adam, 3, head)
    state, never = tx.init(PARAMS), adam.init(PARAMS)
    for step in range(5):
        if step == 3:
            again = adam.init(PARAMS)
        grads = {name: leaf + 10.0**step for name, leaf in PARAMS.items()}
        updates, state = tx.update(grads, state, PARAMS)
        plain, never = adam.update(grads, never, PARAMS)
        if step >= 3:
            fresh, again = adam.update(grads, again, PARAMS)
            np.testing.assert_allclose(updates["head"], fresh["head"], rtol=1e-6)
            assert abs(plain["head"][0] - fresh["head"][0]) > 0.01
        else:
            np.testing.assert_allclose(updates["head"], plain["head"], rtol=1e-6)
        np.testing.assert_allclose(updates["body"], plain["body"], rtol=1e-6)


def test_fresh_leaves_of_the_mask_get_the_old_norms():
    fresh = {"body": jnp.full(2, 3.0), "head": jnp.full((2, 2), 4.0)}
    old = {"body": jnp.ones(2), "head": jnp.full((2, 2), -0.5)}
    new = resets.at_norms_of(old, fresh, head)
    np.testing.assert_array_equal(new["body"], fresh["body"])
    np.testing.assert_allclose(new["head"], np.full((2, 2), 0.5), rtol=1e-6)
