"""The gathered forward pass against the plain one, and what follows from it."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import lax

from models.grokking_transformer import GrokkingTransformer

MODULUS = 7
SIZES = {"num_heads": 2, "head_dim": 3, "mlp_dim": 11}


@functools.cache  # so that tests share what was compiled
def build(normalize, modulus=MODULUS, dtype=jnp.float32, **sizes):
    """The model as (apply, params); scales are not 1, so that they matter."""
    model = GrokkingTransformer(
        modulus, normalize=normalize, rngs=nnx.Rngs(0), **{**SIZES, **sizes}
    )
    graph, params = nnx.split(model)
    factor = np.random.default_rng(0)

    def prepare(leaf):
        scale = factor.uniform(0.5, 2, leaf.shape) if leaf.ndim == 1 else 1.0
        return jnp.asarray(leaf * scale, dtype)

    params = jax.tree.map(prepare, params)

    @functools.partial(jax.jit, static_argnames="method")
    def apply(params, x, y, method="__call__"):
        return getattr(nnx.merge(graph, params), method)(x, y)

    return apply, params


def all_pairs(modulus=MODULUS):
    pairs = np.array(list(itertools.product(range(modulus), repeat=2)), np.int32)
    return jnp.asarray(pairs[:, 0]), jnp.asarray(pairs[:, 1])


def mean_cross_entropy(logits, x, y):
    labels = (x + y) % logits.shape[-1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def cross_entropy(apply, params, x, y, method="__call__"):
    return mean_cross_entropy(apply(params, x, y, method), x, y)


def paths(params):
    leaves, _ = jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(params))
    return {"/".join(str(key.key) for key in path): leaf for path, leaf in leaves}


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        pytest.param(jnp.float32, 2e-5, marks=pytest.mark.thorough),
        (jnp.float64, 1e-12),
    ],
)
def test_values_and_gradients_equal_the_full_sequence(normalize, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        apply, params = build(normalize, dtype=dtype)
        x, y = all_pairs()
        results = []
        for method in ("__call__", "full_sequence"):

            def loss_and_logits(p, method=method):
                logits = apply(p, x, y, method)
                return mean_cross_entropy(logits, x, y), logits

            gradient = jax.grad(loss_and_logits, has_aux=True)
            results.append(jax.jit(gradient)(params))
        assert results[0][1].dtype == dtype
        chex.assert_trees_all_close(*results, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_forward_over_reverse_equals_the_full_sequence():
    """Jacobian and Hessian products, which the custom derivative must support."""
    with jax.enable_x64(True):
        apply, params = build(True, dtype=jnp.float64)
        x, y = all_pairs()
        tangent = jax.tree.map(lambda leaf: jnp.cos(17 * leaf), params)
        products = []
        for method in ("__call__", "full_sequence"):

            def loss(p, method=method):
                return cross_entropy(apply, p, x, y, method)

            def logits(p, method=method):
                return apply(p, x, y, method)

            @jax.jit
            def jacobian_and_hessian_products(p, t, loss=loss, logits=logits):
                return jax.jvp(logits, (p,), (t,))[1], jax.jvp(
                    jax.grad(loss), (p,), (t,)
                )[1]

            products.append(jacobian_and_hessian_products(params, tangent))
        chex.assert_trees_all_close(*products, rtol=1e-10, atol=1e-10)


@pytest.mark.slow
def test_one_pair_computed_by_hand():
    """Width 1: with all weights 1, three equal tokens, and no normalisation."""
    apply, params = build(False, modulus=2, num_heads=1, head_dim=1, mlp_dim=1)
    params = jax.tree.map(jnp.ones_like, params)
    # h = 2 everywhere, equal scores: attention gives 2, so h = 4 at □; the MLP adds 4.
    x, y = jnp.array([0, 1]), jnp.array([1, 1])
    np.testing.assert_allclose(apply(params, x, y), np.full((2, 2), 8.0))
    features = apply(params, x, y, "features")
    np.testing.assert_allclose(features["attention_output"], [[2.0], [2.0]])
    np.testing.assert_allclose(features["mlp_hidden"], [[4.0], [4.0]])
    np.testing.assert_allclose(features["residual"], [[8.0], [8.0]])
    np.testing.assert_allclose(
        apply(params, x, y, "attention_weights"), np.full((2, 1, 5), 0.2)
    )


@pytest.mark.parametrize("normalize", [False, True])
def test_normalization_by_hand(normalize):
    """Width 1 again: rms turns any h > 0 into 1, so that each branch adds 1."""
    apply, params = build(normalize, modulus=2, num_heads=1, head_dim=1, mlp_dim=1)
    params = jax.tree.map(jnp.ones_like, params)
    x, y = jnp.array([0]), jnp.array([1])
    features = apply(params, x, y, "features")
    expected = (1.0, 1.0, 4.0, 1.0) if normalize else (2.0, 4.0, 8.0, 8.0)
    names = ("attention_output", "mlp_hidden", "residual")
    got = [features[name].item() for name in names] + [apply(params, x, y)[0, 0].item()]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.slow
def test_features_are_those_of_the_plain_computation():
    apply, params = build(True)
    x, y = all_pairs()
    features = apply(params, x, y, "features")
    width = SIZES["num_heads"] * SIZES["head_dim"]
    assert {name: array.shape for name, array in features.items()} == {
        "attention_output": (len(x), width),
        "mlp_hidden": (len(x), SIZES["mlp_dim"]),
        "residual": (len(x), width),
    }
    assert features["mlp_hidden"].min() == 0
    pure = nnx.to_pure_dict(params)
    square = pure["token_embedding"]["embedding"][-1]
    square = square + pure["position_embedding"]["embedding"][-1]
    mlp = features["mlp_hidden"] @ pure["blocks"][0]["mlp_out"]["kernel"]
    np.testing.assert_allclose(
        features["residual"],
        square[None] + features["attention_output"] + mlp,
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.slow
def test_attention_weights_are_in_the_order_of_the_tokens():
    """With one token made to stand out, its column has nearly all the weight."""
    apply, params = build(False, num_heads=1, head_dim=1, mlp_dim=1)
    params = jax.tree.map(jnp.ones_like, params)
    x, y = jnp.array([2]), jnp.array([4])
    rows = {0: 2, 1: MODULUS, 2: 4, 3: MODULUS + 1, 4: MODULUS + 2}
    for position, token in rows.items():
        changed = jax.tree.map(jnp.copy, params)
        table = changed["token_embedding"]["embedding"]
        table[...] = table[...].at[token].set(30.0)
        weights = apply(changed, x, y, "attention_weights")
        assert weights.shape == (1, 1, 5)
        assert weights[0, 0, position] > 0.999
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)


@pytest.mark.slow
def test_a_score_far_above_a_pair_does_not_make_it_nan():
    """A large score of a token that is not in the pair must not matter to the pair."""
    apply, params = build(False)
    params = jax.tree.map(jnp.copy, params)
    table = params["token_embedding"]["embedding"]
    table[...] = table[...].at[0].set(1e4 * jnp.sign(table[0]))
    x, y = jnp.array([1, 2]), jnp.array([3, 4])
    gradient = jax.jit(jax.grad(lambda p: cross_entropy(apply, p, x, y)))(params)
    chex.assert_tree_all_finite(gradient)
    np.testing.assert_allclose(
        apply(params, x, y), apply(params, x, y, "full_sequence"), rtol=1e-4, atol=1e-5
    )


def scaled(params, factors):
    """Multiplies the leaves of the modules that are named."""

    def scale(path, leaf):
        module = str(path[-2].key)
        return factors.get(module, 1.0) * leaf

    pure = jax.tree_util.tree_map_with_path(scale, nnx.to_pure_dict(params))
    new = jax.tree.map(jnp.copy, params)
    nnx.replace_by_pure_dict(new, pure)
    return new


STREAM = ("token_embedding", "position_embedding", "output", "mlp_out")


@pytest.mark.parametrize("normalize", [False, True])
def test_scaling_all_that_is_written_to_the_stream(normalize):
    """Only the joint scaling is invariant, and only with the three normalisations."""
    apply, params = build(normalize)
    x, y = all_pairs()
    logits = apply(params, x, y)
    same = apply(scaled(params, dict.fromkeys(STREAM, 3.0)), x, y)
    if normalize:
        np.testing.assert_allclose(same, logits, rtol=1e-3, atol=1e-4)
    else:
        assert jnp.abs(same - logits).max() > 0.1
    for module in STREAM:
        alone = apply(scaled(params, {module: 3.0}), x, y)
        assert jnp.abs(alone - logits).max() > 1e-2, module


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    "pair", [("query", "key"), ("value", "output"), ("mlp_in", "mlp_out")]
)
def test_scaling_one_matrix_up_and_its_partner_down_changes_nothing(normalize, pair):
    apply, params = build(normalize)
    x, y = all_pairs()
    balanced = scaled(params, {pair[0]: 4.0, pair[1]: 0.25})
    np.testing.assert_allclose(
        apply(balanced, x, y), apply(params, x, y), rtol=1e-5, atol=1e-6
    )


def test_logits_are_linear_in_the_unembedding():
    apply, params = build(True)
    x, y = all_pairs()
    doubled = apply(scaled(params, {"unembedding": 2.0}), x, y)
    np.testing.assert_allclose(doubled, 2 * apply(params, x, y), rtol=1e-6)


@pytest.mark.parametrize("normalize", [False, True])
def test_parameter_names_and_shapes(normalize):
    _, params = build(normalize)
    width = SIZES["num_heads"] * SIZES["head_dim"]
    expected = {
        "token_embedding/embedding": (MODULUS + 3, width),
        "position_embedding/embedding": (5, width),
        "blocks/0/query/kernel": (width, width),
        "blocks/0/key/kernel": (width, width),
        "blocks/0/value/kernel": (width, width),
        "blocks/0/output/kernel": (width, width),
        "blocks/0/mlp_in/kernel": (width, SIZES["mlp_dim"]),
        "blocks/0/mlp_out/kernel": (SIZES["mlp_dim"], width),
        "unembedding/kernel": (width, MODULUS),
    }
    if normalize:
        for name in ("blocks/0/attention_norm", "blocks/0/mlp_norm"):
            expected[f"{name}/scale"] = (width,)
        expected["unembedding_norm/scale"] = (width,)
    assert {path: leaf.shape for path, leaf in paths(params).items()} == expected


def test_position_scale_multiplies_the_position_table_and_nothing_else():
    _, equal = build(False, position_scale=1.0)
    _, small = build(False, position_scale=0.1)
    expected = scaled(equal, {"position_embedding": 0.1})
    chex.assert_trees_all_close(small, expected, rtol=1e-6)


def test_a_small_position_table_treats_x_and_y_nearly_alike():
    x, y = all_pairs()
    gaps = []
    for scale in (1.0, 0.1):
        apply, params = build(False, position_scale=scale)
        gaps.append(jnp.abs(apply(params, x, y) - apply(params, y, x)).max())
    assert gaps[1] < gaps[0] / 4


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [False, True])
def test_two_blocks(normalize):
    """The short cut at □ equals the full sequence; a block of zeros adds nothing."""
    x, y = all_pairs()
    apply, params = build(normalize, num_blocks=2)
    np.testing.assert_allclose(
        apply(params, x, y), apply(params, x, y, "full_sequence"), rtol=1e-4, atol=1e-5
    )
    weights = apply(params, x, y, "attention_weights")
    assert weights.shape == (len(x), SIZES["num_heads"], 5)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)

    one, params_of_one = build(normalize)
    pure = nnx.to_pure_dict(params_of_one)
    zeros = jax.tree.map(jnp.zeros_like, pure["blocks"][0])
    pure["blocks"] = {0: zeros, 1: pure["blocks"][0]}
    new = jax.tree.map(jnp.copy, params)
    nnx.replace_by_pure_dict(new, pure)
    for method in ("__call__", "attention_weights"):
        np.testing.assert_allclose(
            apply(new, x, y, method),
            one(params_of_one, x, y, method),
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.slow
def test_initial_standard_deviations():
    model = GrokkingTransformer(
        117, position_scale=1.0, normalize=True, rngs=nnx.Rngs(1)
    )
    for path, leaf in paths(nnx.state(model, nnx.Param)).items():
        if path.endswith("scale"):
            np.testing.assert_array_equal(leaf, 1)
            continue
        fan_in = leaf.shape[0] if path.endswith("kernel") else leaf.shape[1]
        # The relative error of a standard deviation from m samples is 1 / sqrt(2 m).
        error = 4 / np.sqrt(2 * leaf.size)
        np.testing.assert_allclose(leaf.std() * np.sqrt(fan_in), 1, atol=error)
        # A truncated normal would end at 2.3 standard deviations.
        assert jnp.abs(leaf).max() > 2.5 / np.sqrt(fan_in)


@pytest.mark.slow
def test_jit_vmap_and_scan():
    apply, params = build(True)
    x, y = all_pairs()
    other = scaled(params, {"query": 2.0, "mlp_in": 0.5})
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), params, other)

    def logits_and_gradient(p):
        return apply(p, x, y), jax.grad(lambda q: cross_entropy(apply, q, x, y))(p)

    one_by_one = jax.jit(logits_and_gradient)
    expected = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), one_by_one(params), one_by_one(other)
    )
    batched = jax.jit(jax.vmap(logits_and_gradient))(both)
    chex.assert_trees_all_close(batched, expected, rtol=2e-5, atol=2e-6)
    _, scanned = lax.scan(lambda carry, p: (carry, logits_and_gradient(p)), 0, both)
    chex.assert_trees_all_close(scanned, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "name", ["modulus", "num_blocks", "num_heads", "head_dim", "mlp_dim"]
)
def test_sizes_that_are_too_small(name):
    sizes = {"modulus": 5, name: 1 if name == "modulus" else 0}
    with pytest.raises(ValueError, match=rf"^{name} must be at least \d, got \d\.$"):
        GrokkingTransformer(**sizes, rngs=nnx.Rngs(0))


METHODS = ["__call__", "full_sequence", "features", "attention_weights"]


@pytest.mark.parametrize("method", METHODS)
def test_inputs_that_are_not_pairs(method):
    apply, params = build(False)
    x = jnp.arange(3)
    with pytest.raises(ValueError, match=r"^y must be an integer array of shape \(n,"):
        apply(params, x, x[None], method)
    with pytest.raises(ValueError, match=r"^x must be an integer array .*float32"):
        apply(params, jnp.ones(3), x, method)
    with pytest.raises(ValueError, match=r"one shape, got \(3,\) and \(2,\)"):
        apply(params, x, x[:2], method)
