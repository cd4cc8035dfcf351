"""Learning rates that differ from layer to layer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nap_optax import even_ratio, fast_features, masks, scale_by_layer, slow_features

HEAD = masks.by_path([("head/.*", True), (".*", False)])


def apply(tx: Any, updates: Any, params: Any) -> Any:
    return tx.update(updates, tx.init(params), params)[0]


def factors(tx: Any, params: Any) -> dict[str, float]:
    """What each leaf's updates are multiplied by."""
    ones = jax.tree.map(jnp.ones_like, params)
    paths = jax.tree_util.tree_flatten_with_path(apply(tx, ones, params))[0]
    assert all(np.ptp(np.asarray(leaf, float)) == 0 for _, leaf in paths)
    return {masks.path_name(path): float(leaf.ravel()[0]) for path, leaf in paths}


@pytest.mark.parametrize(
    "given",
    [
        {"block": {"kernel": 2.0, "bias": 0.5, "scale": 0.5}, "head": {"kernel": 0.0}},
        masks.by_path([("block/kernel", 2.0), ("block/.*", 0.5), ("head/.*", 0.0)]),
        lambda params: {
            "block": dict.fromkeys(params["block"], 0.5) | {"kernel": jnp.float32(2.0)},
            "head": 0,
        },
    ],
    ids=["tree", "by_path", "prefix"],
)
def test_scale_by_layer_by_hand(given: Any, params: Any) -> None:
    assert factors(scale_by_layer(given), params) == {
        "block/bias": 0.5,
        "block/kernel": 2.0,
        "block/scale": 0.5,
        "head/kernel": 0.0,
    }


def test_scale_by_layer_takes_one_number_for_all(params: Any) -> None:
    assert set(factors(scale_by_layer(3), params).values()) == {3.0}


def test_an_array_for_a_factor_does_not_widen_updates() -> None:
    updates = jnp.ones(2, jnp.bfloat16)
    got = apply(scale_by_layer(np.float64(0.5)), updates, updates)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_array_equal(got, 0.5)


def test_a_leaf_without_a_gradient(params: Any) -> None:
    updates = params | {"head": {"kernel": None}}
    for tx in (scale_by_layer(0.5), fast_features(HEAD), even_ratio()):
        assert apply(tx, updates, params)["head"]["kernel"] is None


def test_fast_and_slow_features_by_hand(params: Any) -> None:
    fast = factors(fast_features(HEAD), params)
    assert fast.pop("head/kernel") == np.float32(0.1)
    assert set(fast.values()) == {1.0}
    slow = factors(slow_features(HEAD, 4), params)
    assert slow.pop("head/kernel") == 1.0
    assert set(slow.values()) == {0.25}


def test_a_mask_that_tells_nothing_apart(params: Any) -> None:
    for make in (fast_features, slow_features):
        for mask, message in (
            (True, f"{make.__name__}: output_layer is True for every leaf; it must"),
            (False, "output_layer=False: it would select nothing"),
            ("head", "output_layer='head': every leaf must be True or False"),
            (jnp.array(True), "output_layer=.*: every leaf must be True or False"),
        ):
            with pytest.raises(ValueError, match=message):
                make(mask).init(params)


@pytest.mark.slow
def test_even_ratio_by_hand() -> None:
    # Means 0.5 (4 weights) and 2 (2 weights): over all 6, (4 * 0.5 + 2 * 2) / 6 = 1.
    params = {
        "a": jnp.array([[0.5, -0.5], [1.0, 0.0]]),
        "b": jnp.array([[-3.0, 1.0]]),
        "zero": jnp.zeros((5, 5)),
        "bias": jnp.full(3, 7.0),
    }
    want = {"a": 0.5, "b": 2.0, "zero": 1.0, "bias": 1.0}
    assert factors(even_ratio(), params) == want
    # 4 * 0.5 + 2 * 2 + 3 * 7 = 27 of 9: a mean of 3.
    with_bias = factors(even_ratio(mask=True), params)
    np.testing.assert_allclose(with_bias["bias"], 7 / 3, rtol=1e-6)
    np.testing.assert_allclose(with_bias["a"], 1 / 6, rtol=1e-6)
    assert with_bias["zero"] == 1


def test_even_ratio_makes_equal_shares_at_the_same_average_rate() -> None:
    shapes = {"a": (8, 16), "b": (16, 16), "c": (16, 4)}
    draw = np.random.default_rng(0).normal
    params = {
        name: jnp.asarray(draw(scale=10.0**i, size=shape), jnp.float32)
        for i, (name, shape) in enumerate(shapes.items())
    }
    got = factors(even_ratio(), params)
    # Sign descent moves every weight by the rate.
    shares = [got[name] / float(jnp.abs(params[name]).mean()) for name in shapes]
    np.testing.assert_allclose(shares, shares[0], rtol=1e-5)
    sizes = [leaf.size for leaf in params.values()]
    mean = np.average([got[name] for name in shapes], weights=sizes)
    np.testing.assert_allclose(mean, 1, rtol=1e-6)


def test_even_ratio_without_a_magnitude() -> None:
    zeros = {"a": jnp.zeros((2, 2)), "b": jnp.zeros((2, 2))}
    assert set(factors(even_ratio(), zeros).values()) == {1.0}
    for bad in (jnp.inf, jnp.nan):
        params = {"a": jnp.full((2, 2), bad), "b": jnp.full((2, 2), 3.0)}
        assert set(factors(even_ratio(), params).values()) == {1.0}


def test_even_ratio_of_mixed_dtypes() -> None:
    params = {"a": jnp.ones((2, 2), jnp.bfloat16), "b": jnp.full((2, 2), 3.0)}
    got = apply(even_ratio(), params, params)
    assert got["a"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(got["a"], 0.5)
    np.testing.assert_array_equal(got["b"], 4.5)


def test_wrong_use(params: Any) -> None:
    for bad in (-0.1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=rf"factors={bad}: must be a number of 0"):
            scale_by_layer({"block": 1.0, "head": bad}).init(params)
    with pytest.raises(ValueError, match=r"factors='0\.1': must be a number"):
        scale_by_layer("0.1").init(params)
    with pytest.raises(ValueError, match="factors does not fit the parameters"):
        scale_by_layer({"block": 1.0}).init(params)
    with pytest.raises(ValueError, match="output_layer does not fit the parameters"):
        fast_features({"block": True}).init(params)
    for make in (fast_features, slow_features):
        for bad in (0, -1.0, float("inf")):
            with pytest.raises(ValueError, match=rf"factor={bad}: must be a positive"):
                make(HEAD, bad)
    with pytest.raises(ValueError, match=r"in\s+static_args"):
        optax.inject_hyperparams(even_ratio)(mask=masks.matrices).init(params)
