"""The residual network: values, names, and what scaling a layer does."""

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
from models.resnet import ResNet18

SHAPE = (9, 8, 2)
WIDTH = 4
# (block, width in units of the first stage's, stride)
BLOCKS = [
    (index, width, stride)
    for index, (width, stride) in enumerate(
        [(1, 1), (1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1)]
    )
]


@functools.cache  # so that tests share what was compiled
def build(dtype=jnp.float32, epsilon=True):
    def model():
        model = ResNet18(SHAPE, 5, width=WIDTH, rngs=nnx.Rngs(0))
        return model if epsilon else without_epsilon(model)

    return split(model, dtype)


def expected_shapes(width, inputs, num_classes):
    """Kernels and normalisations of He et al.'s table, as the paths of parameters."""
    kernels = {"stem_conv": (3, 3, inputs, width)}
    norms = {"stem_norm": width}
    inputs = width
    for index, multiple, stride in BLOCKS:
        outputs = multiple * width
        block = f"block_{index}"
        kernels[f"{block}/conv_0"] = (3, 3, inputs, outputs)
        kernels[f"{block}/conv_1"] = (3, 3, outputs, outputs)
        norms |= {f"{block}/norm_0": outputs, f"{block}/norm_1": outputs}
        if stride == 2:
            kernels[f"{block}/shortcut_conv"] = (1, 1, inputs, outputs)
            norms[f"{block}/shortcut_norm"] = outputs
        inputs = outputs
    kernels["logits"] = (inputs, num_classes)
    shapes = {f"{name}/kernel": shape for name, shape in kernels.items()}
    for name, channels in norms.items():
        shapes |= {f"{name}/scale": (channels,), f"{name}/bias": (channels,)}
    return shapes


KERNELS = [path for path in expected_shapes(WIDTH, 2, 5) if path.endswith("kernel")]


def reference(params, images):
    """Logits and features, in numpy."""
    p = jax.tree.map(np.asarray, nnx.to_pure_dict(params))
    h = convolution(np.asarray(images), p["stem_conv"]["kernel"], 1, (1, 1))
    h = relu(layer_norm(h, p["stem_norm"]))
    features = {"stem": h}
    for index, _, stride in BLOCKS:
        b = p[f"block_{index}"]
        residual = convolution(h, b["conv_0"]["kernel"], stride, (1, 1))
        residual = relu(layer_norm(residual, b["norm_0"]))
        residual = convolution(residual, b["conv_1"]["kernel"], 1, (1, 1))
        residual = layer_norm(residual, b["norm_1"])
        if stride == 2:
            h = h[:, ::2, ::2] @ b["shortcut_conv"]["kernel"][0, 0]
            h = layer_norm(h, b["shortcut_norm"])
        h = relu(h + residual)
        features[f"block_{index}"] = h
    return h.mean((1, 2)) @ p["logits"]["kernel"], features


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float32, 1e-4), (jnp.float64, 1e-10)]
)
def test_values_equal_plain_numpy(dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        apply, params = build(dtype)
        images = random_images(2, SHAPE, dtype)
        logits, features = apply(params, images, "logits_and_features")
        assert logits.dtype == dtype
        expected_logits, expected = reference(params, images)
        np.testing.assert_allclose(
            logits, expected_logits, rtol=tolerance, atol=tolerance
        )
        assert features.keys() == expected.keys()
        for name, array in features.items():
            np.testing.assert_allclose(
                array, expected[name], rtol=tolerance, atol=tolerance, err_msg=name
            )


@pytest.mark.slow
def test_features_are_those_of_the_forward_pass():
    apply, params = build()
    images = random_images(2, SHAPE)
    logits, both = apply(params, images, "logits_and_features")
    features = apply(params, images, "features")
    # 9 x 8 to 5 x 4 to 3 x 2 to 2 x 1
    assert {name: array.shape for name, array in features.items()} == {
        "stem": (2, 9, 8, 4),
        "block_0": (2, 9, 8, 4),
        "block_1": (2, 9, 8, 4),
        "block_2": (2, 5, 4, 8),
        "block_3": (2, 5, 4, 8),
        "block_4": (2, 3, 2, 16),
        "block_5": (2, 3, 2, 16),
        "block_6": (2, 2, 1, 32),
        "block_7": (2, 2, 1, 32),
    }
    chex.assert_trees_all_close(features, both, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(apply(params, images), logits, rtol=1e-5, atol=1e-6)
    for name, array in features.items():
        assert array.min() == 0 < array.max(), name
    last = nnx.to_pure_dict(params)["logits"]["kernel"]
    averages = features["block_7"].mean((1, 2))
    np.testing.assert_allclose(averages @ last, logits, rtol=1e-5, atol=1e-6)


def test_parameter_names_and_shapes():
    """No bias but those of the normalisations."""
    _, params = build()
    shapes = {path: leaf.shape for path, leaf in leaves_by_path(params).items()}
    assert shapes == expected_shapes(WIDTH, 2, 5)


@pytest.mark.parametrize(
    ("image_shape", "width", "expected"),
    [
        # Kernels, w = 64: stem 3²·3w; stages 4·9w², 9·(2 + 3·4)w², 9·(8 + 3·16)w²
        # and 9·(32 + 3·64)w²; shortcuts (2 + 8 + 32)w²; logits 8w·10. Normalisations:
        # 2·(1 + 4·(1 + 2 + 4 + 8) + 2 + 4 + 8)w.
        (
            (32, 32, 3),
            64,
            27 * 64 + (36 + 126 + 504 + 2016 + 42) * 64**2 + 80 * 64 + 2 * 75 * 64,
        ),
        (
            (28, 28, 1),
            8,
            9 * 8 + (36 + 126 + 504 + 2016 + 42) * 8**2 + 80 * 8 + 2 * 75 * 8,
        ),
    ],
)
def test_number_of_parameters(image_shape, width, expected):
    model = nnx.eval_shape(lambda: ResNet18(image_shape, width=width, rngs=nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.state(model))
    assert sum(leaf.size for leaf in leaves) == expected
    if width == 64:
        assert expected == 11_173_962 - 10  # the usual count, less the logits' biases


@pytest.mark.slow
def test_initial_norms():
    def initial():
        return nnx.state(ResNet18(width=16, rngs=nnx.Rngs(1)), nnx.Param)

    for path, leaf in leaves_by_path(jax.jit(initial)()).items():
        if path.endswith("kernel"):
            fan_out = leaf.shape[-1]
            squared = float(jnp.sum(jnp.square(leaf)))
            # A square of a truncated normal varies less than one of a normal, √2.
            error = 4 * fan_out * np.sqrt(2 / leaf.size)
            np.testing.assert_allclose(squared, fan_out, atol=error, err_msg=path)
        else:
            np.testing.assert_array_equal(leaf, float(path.endswith("scale")))


@pytest.mark.slow
def test_scaling_one_kernel():
    """Every kernel but the last is followed by a normalisation.

    Exactly invariant with ε = 0. With ε = 1e-6, whose share of the variance of a
    position changes from ε / var to ε / (c² var), logits of 4.4 moved by 2e-5 here.
    """
    factor = 3.0
    with jax.enable_x64(True):
        images = random_images(2, SHAPE, jnp.float64)
        for epsilon, tolerance in ((False, 1e-10), (True, 1e-4)):
            apply, params = build(jnp.float64, epsilon)
            logits = apply(params, images)
            assert jnp.abs(logits).max() > 0.1
            for path in KERNELS:
                other = apply(scaled(params, {path}, factor), images)
                expected = factor * logits if path == "logits/kernel" else logits
                np.testing.assert_allclose(
                    other, expected, rtol=tolerance, atol=tolerance, err_msg=path
                )


@pytest.mark.slow
def test_scaling_a_normalization():
    """Scale and offset together: invariant only inside a block, not on the stream."""
    with jax.enable_x64(True):
        images = random_images(2, SHAPE, jnp.float64)
        apply, params = build(jnp.float64, epsilon=False)
        logits = apply(params, images)
        for path in expected_shapes(WIDTH, 2, 5):
            name, _, leaf = path.rpartition("/")
            if leaf != "scale":
                continue
            names = {f"{name}/scale", f"{name}/bias"}
            difference = apply(scaled(params, names, 3.0), images) - logits
            if name.endswith("norm_0"):
                np.testing.assert_allclose(difference, 0, atol=1e-10, err_msg=name)
            else:
                assert jnp.abs(difference).max() > 1e-2, name


@pytest.mark.slow
def test_several_networks_at_once():
    """Values and gradients under `vmap` are those of one network after another."""
    apply, params = build()
    other = jax.tree.map(lambda leaf: leaf * jnp.cos(1 + leaf), params)
    images, labels = random_images(2, SHAPE), jnp.array([0, 3])

    def loss_and_logits(p):
        logits = apply(p, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), logits

    gradient = jax.grad(loss_and_logits, has_aux=True)
    alone = jax.jit(gradient)
    expected = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), alone(params), alone(other)
    )
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), params, other)
    together = jax.jit(jax.vmap(gradient))(both)
    chex.assert_trees_all_close(together, expected, rtol=1e-3, atol=1e-4)
    assert jnp.abs(expected[1][0] - expected[1][1]).max() > 0.1
    for gradient_of_leaf in jax.tree.leaves(expected[0]):
        assert jnp.abs(gradient_of_leaf).max() > 1e-4


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2, 9, 8, 1), jnp.float32),
        ((2, 8, 9, 2), jnp.float32),
        ((9, 8, 2), jnp.float32),
        ((2, 9, 8, 2), jnp.uint8),
    ],
)
@pytest.mark.parametrize("method", ["__call__", "features", "logits_and_features"])
def test_arrays_that_are_not_its_images(shape, dtype, method):
    apply, params = build()
    message = (
        r"^images must be a floating array of shape \(n, 9, 8, 2\), got "
        rf"{jnp.dtype(dtype).name} of shape \({', '.join(map(str, shape))}\)\."
    )
    with pytest.raises(ValueError, match=message):
        apply(params, jnp.ones(shape, dtype), method)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, r"num_classes must be an int of at least 1, got 0\."),
        ({"width": 1}, r"width must be an int of at least 2, got 1\."),
        ({"width": 64.0}, r"width must be an int of at least 2, got 64\.0\."),
        (
            {"image_shape": (32, 32)},
            r"image_shape must be \(height, width, channels\), three ints of at least "
            r"1, got \(32, 32\)\.",
        ),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        ResNet18(**arguments, rngs=nnx.Rngs(0))


@pytest.mark.slow
def test_a_batch_of_any_size_can_be_exported():
    """Of the width that Winograd's algorithm is for, and with its gradient."""
    graph, params = nnx.split(nnx.eval_shape(lambda: ResNet18(rngs=nnx.Rngs(0))))
    (batch,) = jax.export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, 32, 32, 3), jnp.float32)

    def gradient(params, images):
        return jax.grad(lambda p: nnx.merge(graph, p)(images).sum())(params)

    exported = jax.export.export(jax.jit(gradient))(params, images)
    assert exported.in_avals[-1].shape == (batch, 32, 32, 3)
