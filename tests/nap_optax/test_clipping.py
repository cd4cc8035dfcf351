"""Weight clipping, and what it does together with projection."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers.projecting import norms
from nap_optax import clip_weights, masks, project_weights


def clip(params: Any, updates: Any, multiplier: Any, **options: Any) -> Any:
    tx = clip_weights(multiplier, **options)
    return tx.update(updates, tx.init(params), params)[0]


def test_by_hand() -> None:
    # A fan-in of 4, so s = 1/2, and bounds of 3/4 at 1.5: 0.5 + 1 -> 0.75,
    # -0.5 - 1 -> -0.75, 0.5 - 0.25 stays, 2 + 0 -> 0.75.
    params = jnp.array([[0.5, -0.5], [0.5, 2.0], [0.0, 0.0], [0.0, 0.0]])
    updates = jnp.array([[1.0, -1.0], [-0.25, 0.0], [0.0, 0.0], [0.0, 0.0]])
    got = clip(params, updates, 1.5)
    np.testing.assert_allclose(got[:2], [[0.25, -0.25], [-0.25, -1.25]], rtol=1e-6)
    np.testing.assert_array_equal(got[2:], 0.0)


@pytest.mark.parametrize(
    ("shape", "fan_in"), [((9, 2), 9), ((3, 2, 4, 5), 24), ((0, 2), 1), ((2, 0), 2)]
)
def test_fan_in_is_all_axes_but_the_last(shape: Any, fan_in: int) -> None:
    got = clip(jnp.zeros(shape), jnp.full(shape, 9.0), 1.0)
    np.testing.assert_allclose(got, np.full(shape, fan_in**-0.5), rtol=1e-6)


def test_within_bounds_updates_are_passed_on_to_the_bit() -> None:
    draw = np.random.default_rng(0).uniform
    params = jnp.asarray(draw(-0.1, 0.1, size=(16, 4)), jnp.float32)
    updates = jnp.asarray(draw(-0.1, 0.1, size=(16, 4)), jnp.float32)
    np.testing.assert_array_equal(clip(params, updates, 1.0), updates)


def test_half_precision() -> None:
    params = jnp.full((16, 2), 0.1, jnp.bfloat16)
    got = clip(params, jnp.ones((16, 2), jnp.bfloat16), jnp.float32(1.0))
    assert got.dtype == jnp.bfloat16
    after = np.asarray(params + got, np.float32)
    np.testing.assert_allclose(after, 0.25, rtol=2**-8)


def test_what_is_not_finite() -> None:
    params = jnp.zeros((4, 1))
    updates = jnp.array([[jnp.nan], [jnp.inf], [-jnp.inf], [0.1]])
    got = clip(params, updates, 1.0)
    np.testing.assert_allclose(got, [[np.nan], [0.5], [-0.5], [0.1]])


def test_default_mask(params: Any) -> None:
    updates = jax.tree.map(lambda leaf: jnp.full_like(leaf, 9.0), params)
    got = clip(params, updates, 1.0)
    for name in ("bias", "scale"):
        assert got["block"][name] is updates["block"][name]
    after = jax.tree.map(jnp.add, params, got)
    np.testing.assert_allclose(after["block"]["kernel"], 2**-0.5, rtol=1e-6)
    np.testing.assert_allclose(after["head"]["kernel"], 1.0, rtol=1e-6)


def test_biases_take_the_bound_of_their_layer() -> None:
    params = {
        "conv": {"kernel": jnp.zeros((2, 2, 4, 1)), "bias": jnp.zeros(1)},
        "norm": {"scale": jnp.ones(1)},
    }
    updates = jax.tree.map(lambda leaf: jnp.full_like(leaf, 9.0), params)
    mask = masks.by_path([("norm/.*", False), (".*", True)])
    got = clip(params, updates, 1.0, mask=mask)
    np.testing.assert_allclose(got["conv"]["bias"], 0.25)
    np.testing.assert_array_equal(got["norm"]["scale"], 9.0)
    # The matrix beside it counts, selected or not.
    got = clip(
        params, updates, 1.0, mask=masks.by_path([(".*/bias", True), (".*", False)])
    )
    np.testing.assert_allclose(got["conv"]["bias"], 0.25)
    np.testing.assert_array_equal(got["conv"]["kernel"], 9.0)


def test_no_fan_in() -> None:
    params = {"norm": {"scale": jnp.ones(1)}, "w": jnp.ones((2, 2))}
    with pytest.raises(ValueError, match="'norm/scale' has fewer than two dimensions"):
        clip_weights(1.0, mask=True).init(params)
    two = {"a": jnp.ones((2, 2)), "b": jnp.ones((3, 2)), "bias": jnp.ones(2)}
    with pytest.raises(ValueError, match="'bias' has fewer than two dimensions"):
        clip_weights(1.0, mask=True).init(two)
    clip_weights(1.0, mask=True).init(
        two | {"b": jnp.ones((2, 7))}
    )  # one fan-in, of two


def test_clip_and_then_project() -> None:
    # Norm 1 and s = 1/2. (0.6, 0.8, 0, 0) is clipped to (0.5, 0.5, 0, 0), of norm
    # 0.707, and brought back to norm 1: sqrt(2) outside of its bounds.
    params = jnp.array([[0.6], [0.8], [0.0], [0.0]])
    tx = optax.chain(clip_weights(1.0), project_weights())
    updates, _ = tx.update(jnp.zeros_like(params), tx.init(params), params)
    after = params + updates
    np.testing.assert_allclose(after[:2], 0.5 * 2**0.5, rtol=1e-6)
    np.testing.assert_allclose(norms(after), 1.0, rtol=1e-6)


def test_project_and_then_clip() -> None:
    # The bounds hold, the norm is 0.707 of its radius, and stays there.
    params = jnp.array([[0.6], [0.8], [0.0], [0.0]])
    tx = optax.chain(project_weights(), clip_weights(1.0))
    state, zeros = tx.init(params), jnp.zeros_like(params)
    for _ in range(3):
        updates, state = tx.update(zeros, state, params)
        params = params + updates
        np.testing.assert_allclose(params[:2], 0.5, rtol=1e-6)
        np.testing.assert_allclose(norms(params), 0.5**0.5, rtol=1e-6)


def test_flax_starts_outside() -> None:
    initializer = jax.nn.initializers.lecun_normal()
    params = initializer(jax.random.key(0), (256, 256))
    bound = 256**-0.5
    assert 0.3 < np.mean(np.abs(params) > bound) < 0.4
    assert np.max(np.abs(params)) < 2.3 * bound
    np.testing.assert_allclose(norms(params), 16.0, rtol=0.02)


def test_wrong_use(params: Any) -> None:
    for wrong in (0.0, -1.0, "a", jnp.ones(2)):
        with pytest.raises(ValueError, match=r"multiplier=.*: must be a positive numb"):
            clip_weights(wrong)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="clip_weights: the mask selects none"):
        clip_weights(1.0, mask=jax.tree.map(lambda _: False, params)).init(params)
    with pytest.raises(ValueError, match="clip_weights needs the parameters"):
        clip_weights(1.0).update(params, clip_weights(1.0).init(params))
    with pytest.raises(ValueError, match=r'static_args=\("mask",\)'):
        optax.inject_hyperparams(clip_weights)(1.0, mask=masks.matrices).init(params)
