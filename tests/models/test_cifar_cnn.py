"""The small convolutional network: values, names, and what scaling a layer does."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from helpers.checkout.images import (
    convolution,
    layer_norm,
    leaves_by_path,
    random_images,
    relu,
    scaled,
    split,
    without_epsilon,
)
from models import cifar_cnn
from models.cifar_cnn import CifarCNN

SHAPE = (9, 6, 2)
SIZES = {"channels": 6, "hidden_dim": 7}
CONVOLUTIONS = ("conv_0", "conv_1", "conv_2")
EACH_NORMALIZATION = pytest.mark.parametrize(
    ("normalize", "normalize_hidden"), [(False, False), (True, False), (True, True)]
)


@functools.cache  # so that tests share what was compiled
def build(normalize=True, dtype=jnp.float32, epsilon=True, normalize_hidden=False):
    def model():
        model = CifarCNN(
            SHAPE,
            4,
            normalize=normalize,
            normalize_hidden=normalize_hidden,
            rngs=nnx.Rngs(0),
            **SIZES,
        )
        return model if epsilon else without_epsilon(model)

    return split(model, dtype)


def reference(params, images, normalize, normalize_hidden):
    """Logits and features, in numpy."""
    p = jax.tree.map(np.asarray, nnx.to_pure_dict(params))
    h, features = np.asarray(images), {}
    # SAME: with stride 2, one less before than after, if the sum is odd. Sides here:
    # 9 x 6 to 5 x 3 to 3 x 2.
    paddings = [((2, 2), (1, 2)), ((1, 1), (1, 1)), ((1, 1), (1, 1))]
    for name, norm, stride, (rows, columns) in zip(
        CONVOLUTIONS, ("norm_0", "norm_1", "norm_2"), (2, 2, 1), paddings, strict=True
    ):
        h = np.pad(h, [(0, 0), rows, columns, (0, 0)])
        h = convolution(h, p[name]["kernel"], stride, (0, 0))
        h = relu(layer_norm(h, p[norm]) if normalize else h)
        features[name] = h
    hidden = h.reshape(len(h), -1) @ p["hidden"]["kernel"]
    hidden = relu(layer_norm(hidden, p["norm_hidden"]) if normalize_hidden else hidden)
    features["hidden"] = hidden
    return hidden @ p["logits"]["kernel"], features


@EACH_NORMALIZATION
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float32, 2e-5), (jnp.float64, 1e-11)]
)
def test_values_equal_plain_numpy(normalize, normalize_hidden, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        apply, params = build(normalize, dtype, normalize_hidden=normalize_hidden)
        images = random_images(3, SHAPE, dtype)
        logits, features = apply(params, images, "logits_and_features")
        assert logits.dtype == dtype
        expected_logits, expected = reference(
            params, images, normalize, normalize_hidden
        )
        np.testing.assert_allclose(
            logits, expected_logits, rtol=tolerance, atol=tolerance
        )
        assert features.keys() == expected.keys()
        for name, array in features.items():
            np.testing.assert_allclose(
                array, expected[name], rtol=tolerance, atol=tolerance, err_msg=name
            )


def test_features_are_those_of_the_forward_pass():
    apply, params = build()
    images = random_images(3, SHAPE)
    logits, both = apply(params, images, "logits_and_features")
    features = apply(params, images, "features")
    assert {name: array.shape for name, array in features.items()} == {
        "conv_0": (3, 5, 3, 6),
        "conv_1": (3, 3, 2, 6),
        "conv_2": (3, 3, 2, 6),
        "hidden": (3, 7),
    }
    chex.assert_trees_all_close(features, both, rtol=1e-6)
    np.testing.assert_allclose(apply(params, images), logits, rtol=1e-5)
    for name, array in features.items():
        assert array.min() == 0 < array.max(), name
    last = nnx.to_pure_dict(params)["logits"]["kernel"]
    np.testing.assert_allclose(features["hidden"] @ last, logits, rtol=1e-5, atol=1e-6)


@EACH_NORMALIZATION
def test_parameter_names_and_shapes(normalize, normalize_hidden):
    """No bias but those of the normalisations."""
    _, params = build(normalize, normalize_hidden=normalize_hidden)
    expected = {
        "conv_0/kernel": (5, 5, 2, 6),
        "conv_1/kernel": (3, 3, 6, 6),
        "conv_2/kernel": (3, 3, 6, 6),
        "hidden/kernel": (3 * 2 * 6, 7),
        "logits/kernel": (7, 4),
    }
    if normalize:
        for i in range(3):
            expected |= {f"norm_{i}/scale": (6,), f"norm_{i}/bias": (6,)}
    if normalize_hidden:
        expected |= {"norm_hidden/scale": (7,), "norm_hidden/bias": (7,)}
    shapes = {path: leaf.shape for path, leaf in leaves_by_path(params).items()}
    assert shapes == expected


@pytest.mark.parametrize(
    ("image_shape", "options", "expected"),
    [
        # 5²·3·32 + 2·3²·32² + 3·2·32 + 8·8·32·300 + 300·10
        ((32, 32, 3), {}, 2400 + 18432 + 192 + 614400 + 3000),
        # 28 to 14 to 7
        ((28, 28, 1), {}, 800 + 18432 + 192 + 470400 + 3000),
        ((32, 32, 3), {"normalize": False}, 2400 + 18432 + 614400 + 3000),
        # 9 to 3 to 3 to 2
        (
            (9, 9, 1),
            {"strides": (3, 1, 2), "channels": 2, "hidden_dim": 5},
            50 + 2 * 36 + 12 + 2 * 2 * 2 * 5 + 50,
        ),
    ],
)
def test_number_of_parameters(image_shape, options, expected):
    model = nnx.eval_shape(lambda: CifarCNN(image_shape, rngs=nnx.Rngs(0), **options))
    leaves = jax.tree.leaves(nnx.state(model))
    assert sum(leaf.size for leaf in leaves) == expected


def test_maxima_over_windows_in_place_of_strides():
    def features(**options):
        options |= {"strides": (1, 1, 1), "rngs": nnx.Rngs(0)}
        return CifarCNN(SHAPE, 4, **options, **SIZES).features(random_images(3, SHAPE))

    pooled = features(windows=(2, 3, 1))
    assert {name: array.shape for name, array in pooled.items()} == {
        "conv_0": (3, 5, 3, 6),
        "conv_1": (3, 2, 1, 6),
        "conv_2": (3, 2, 1, 6),
        "hidden": (3, 7),
    }
    expected = nnx.max_pool(features()["conv_0"], (2, 2), (2, 2), padding="SAME")
    np.testing.assert_allclose(pooled["conv_0"], expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_maxima_and_their_gradients_are_those_of_flax(side):
    """Here 9 x 6 positions, so some windows are padded before, after or both."""
    inputs = jax.random.normal(jax.random.key(0), (2, 9, 6, 3)) - 3
    window = (side, side)
    both = (
        lambda x: cifar_cnn._maxima(x, side),
        lambda x: nnx.max_pool(x, window, window, padding="SAME"),
    )
    values = [jax.jit(fn)(inputs) for fn in both]
    np.testing.assert_array_equal(*values)
    weights = jax.random.normal(jax.random.key(1), values[0].shape)
    gradients = [
        jax.jit(jax.grad(lambda x, fn=fn: jnp.sum(fn(x) * weights)))(inputs)
        for fn in both
    ]
    np.testing.assert_array_equal(*gradients)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"normalize_hidden": True},
        {"offsets": False},
        {"offsets": False, "normalize_hidden": True},
        {"normalize": False},
    ],
    ids=str,
)
def test_initial_kernels_do_not_depend_on_normalisations(options):
    """So that networks with and without are compared seed by seed."""
    plain, other = (
        leaves_by_path(
            nnx.state(CifarCNN(SHAPE, 4, **SIZES, **some, rngs=nnx.Rngs(0)), nnx.Param)
        )
        for some in ({}, options)
    )
    kernels = [path for path in plain if path.endswith("kernel")]
    same = [np.array_equal(plain[path], other[path]) for path in kernels]
    assert all(same) == options.get("normalize", True)
    assert same[kernels.index("conv_0/kernel")]


def test_normalisations_without_offsets():
    def model():
        return CifarCNN(normalize_hidden=True, offsets=False, rngs=nnx.Rngs(0))

    paths = leaves_by_path(nnx.state(nnx.eval_shape(model), nnx.Param))
    norms = ("norm_0", "norm_1", "norm_2", "norm_hidden")
    assert {path for path in paths if path.startswith("norm")} == {
        f"{norm}/scale" for norm in norms
    }


@pytest.mark.slow
def test_initial_norms_and_the_total_of_the_paper():
    params = jax.jit(lambda: nnx.state(CifarCNN(rngs=nnx.Rngs(1)), nnx.Param))()
    leaves = leaves_by_path(params)
    outputs = dict.fromkeys(CONVOLUTIONS, 32) | {"hidden": 300, "logits": 10}
    total = 0.0
    for name, fan_out in outputs.items():
        kernel = leaves[f"{name}/kernel"]
        squared = float(jnp.sum(jnp.square(kernel)))
        # A square of a truncated normal varies less than one of a normal, √2.
        error = 4 * fan_out * np.sqrt(2 / kernel.size)
        np.testing.assert_allclose(squared, fan_out, atol=error, err_msg=name)
        total += squared
    np.testing.assert_allclose(np.sqrt(total), 20.15, atol=0.1)
    for i in range(3):
        np.testing.assert_array_equal(leaves[f"norm_{i}/scale"], 1)
        np.testing.assert_array_equal(leaves[f"norm_{i}/bias"], 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CONVOLUTIONS, "hidden", "logits"])
@EACH_NORMALIZATION
def test_scaling_one_kernel(name, normalize, normalize_hidden):
    """Invariant before a normalisation; else the logits are multiplied as well.

    Exactly so with ε = 0. With ε = 1e-6, whose share of the variance of a position
    changes from ε / var to ε / (c² var), logits of 0.7 moved by 5e-6 here.
    """
    factor = 3.0
    with jax.enable_x64(True):
        images = random_images(3, SHAPE, jnp.float64)
        normalized = (normalize and name in CONVOLUTIONS) or (
            normalize_hidden and name == "hidden"
        )
        for epsilon, tolerance in ((False, 1e-11), (True, 3e-5)):
            apply, params = build(normalize, jnp.float64, epsilon, normalize_hidden)
            logits = apply(params, images)
            other = apply(scaled(params, {f"{name}/kernel"}, factor), images)
            expected = logits if normalized else factor * logits
            np.testing.assert_allclose(other, expected, rtol=tolerance, atol=tolerance)
        assert jnp.abs(logits).max() > 0.1


@pytest.mark.parametrize("normalize_hidden", [False, True])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_scaling_a_normalization(index, normalize_hidden):
    """Scale and offset together, if a normalised layer follows; neither one alone."""
    names = {f"norm_{index}/scale", f"norm_{index}/bias"}
    with jax.enable_x64(True):
        apply, params = build(True, jnp.float64, False, normalize_hidden)
        images = random_images(3, SHAPE, jnp.float64)
        logits = apply(params, images)
        expected = 3 * logits if index == 2 and not normalize_hidden else logits
        together = apply(scaled(params, names, 3.0), images)
        np.testing.assert_allclose(together, expected, rtol=1e-10)
        for name in names:
            alone = apply(scaled(params, {name}, 3.0), images)
            assert jnp.abs(alone - logits).max() > 1e-2, name


@pytest.mark.slow
def test_positions_without_variance():
    """A black image gives the offsets, and no NaN in values or gradients."""
    apply, params = build()
    images = jnp.zeros((2, *SHAPE))
    features = apply(params, images, "features")
    offset = nnx.to_pure_dict(params)["norm_0"]["bias"]
    np.testing.assert_allclose(features["conv_0"][0, 2, 1], relu(offset), rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda p: apply(p, images).sum()))(params)
    chex.assert_tree_all_finite(gradient)


def mean_cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@pytest.mark.slow
def test_models_of_many_seeds_at_once():
    """Init, values and gradients under `vmap` are those of one seed after another."""
    images, labels = random_images(3, SHAPE), jnp.array([0, 2, 3])

    def logits_and_gradient(seed):
        model = CifarCNN(SHAPE, 4, rngs=nnx.Rngs(jax.random.key(seed)), **SIZES)
        graph, params = nnx.split(model)

        def loss_and_logits(p):
            logits = nnx.merge(graph, p)(images)
            return mean_cross_entropy(logits, labels), logits

        return params, jax.grad(loss_and_logits, has_aux=True)(params)

    seeds = jnp.arange(2)
    together = jax.jit(jax.vmap(logits_and_gradient))(seeds)
    alone = jax.jit(logits_and_gradient)
    one_by_one = [alone(seed) for seed in seeds]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *one_by_one)
    chex.assert_trees_all_close(together, expected, rtol=2e-5, atol=2e-6)
    for path, (first, second) in leaves_by_path(together[0]).items():
        if path.endswith("kernel"):
            assert jnp.abs(first - second).max() > 0.1, path


def test_examples_do_not_depend_on_each_other():
    apply, params = build()
    images = random_images(3, SHAPE)
    changed = images.at[0].multiply(-2.0)
    before, after = apply(params, images), apply(params, changed)
    np.testing.assert_allclose(before[1:], after[1:], rtol=1e-6)
    assert jnp.abs(before[0] - after[0]).max() > 1e-2


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((3, 9, 6, 1), jnp.float32),
        ((3, 6, 9, 2), jnp.float32),
        ((9, 6, 2), jnp.float32),
        ((2, 3, 9, 6, 2), jnp.float32),
        ((3, 9, 6, 2), jnp.uint8),
    ],
)
@pytest.mark.parametrize("method", ["__call__", "features", "logits_and_features"])
def test_arrays_that_are_not_its_images(shape, dtype, method):
    apply, params = build()
    message = (
        r"^images must be a floating array of shape \(n, 9, 6, 2\), got "
        rf"{jnp.dtype(dtype).name} of shape \({', '.join(map(str, shape))}\)\."
    )
    with pytest.raises(ValueError, match=message):
        apply(params, jnp.ones(shape, dtype), method)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, r"num_classes must be an int of at least 1, got 0\."),
        ({"channels": 1}, r"channels must be an int of at least 2, got 1\."),
        (
            {"channels": 0, "normalize": False},
            r"channels must be an int of at least 1, got 0\.",
        ),
        (
            {"hidden_dim": 1, "normalize_hidden": True},
            r"hidden_dim must be an int of at least 2, got 1\.",
        ),
        ({"hidden_dim": 2.5}, r"hidden_dim must be an int of at least 1, got 2\.5\."),
        ({"hidden_dim": True}, r"hidden_dim must be an int of at least 1, got True\."),
        ({"strides": (2, 2)}, r"strides must be three ints, got \(2, 2\)\."),
        ({"strides": 2}, r"strides must be three ints, got 2\."),
        ({"windows": (2, 2)}, r"windows must be three ints, got \(2, 2\)\."),
        (
            {"windows": (2, 0, 1)},
            r"each of windows=\(2, 0, 1\) must be an int of at least 1, got 0\.",
        ),
        (
            {"strides": (2, 0, 1)},
            r"each of strides=\(2, 0, 1\) must be an int of at least 1, got 0\.",
        ),
        (
            {"image_shape": (32, 32)},
            r"image_shape must be \(height, width, channels\), three ints of at least "
            r"1, got \(32, 32\)\.",
        ),
        ({"image_shape": (32, 0, 3)}, r"image_shape must be .*, got \(32, 0, 3\)\."),
        ({"image_shape": 32}, r"image_shape must be .*, got 32\."),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        CifarCNN(**arguments, rngs=nnx.Rngs(0))


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 5, 9])
def test_slices_give_the_logits_of_the_whole_batch(size):
    model = CifarCNN((8, 8, 3), 4, **SIZES, rngs=nnx.Rngs(0))
    images = jax.random.normal(jax.random.key(0), (5, 8, 8, 3))
    np.testing.assert_allclose(
        model.apply_in_slices(images, size), model(images), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("size", [0, 2.5, True])
def test_a_slice_holds_an_image(size):
    model = CifarCNN((8, 8, 3), 4, **SIZES, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="size must be an int of at least 1"):
        model.apply_in_slices(jnp.ones((5, 8, 8, 3)), size)
