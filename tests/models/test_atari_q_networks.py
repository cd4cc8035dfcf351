"""The networks of DQN and Rainbow: values, names, noise, and what scaling does."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
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
from models.atari_q_networks import AtariQNetwork, Dense
from nap_optax import masks

SHAPES = {"nature": (44, 36, 2), "minatar": (10, 10, 4)}
# (size, stride), after the papers.
CONVOLUTIONS = {"nature": ((8, 4), (4, 2), (3, 1)), "minatar": ((3, 1),)}
RAINBOW = {"dueling": True, "noise_scale": 0.1, "num_atoms": 5}
PROJECTED = masks.by_path([(".*/output/.*", False), (".*/kernel", True), (".*", False)])


@functools.cache  # so that tests share what was compiled
def build(torso="nature", dtype=jnp.float32, epsilon=True, **options):
    def model():
        model = AtariQNetwork(
            SHAPES[torso], 3, torso=torso, hidden_dim=7, **options, rngs=nnx.Rngs(0)
        )
        return model if epsilon else without_epsilon(model)

    _, params = split(model, dtype)
    graph = nnx.graphdef(nnx.eval_shape(model))

    @functools.partial(jax.jit, static_argnames="method")
    def apply(params, observations, key=None, method="__call__"):
        return getattr(nnx.merge(graph, params), method)(observations, key)

    return apply, params


def reference(params, observations, torso, options):
    """Outputs without noise, and features, in numpy."""
    p = jax.tree.map(np.asarray, nnx.to_pure_dict(params))
    normalize = options.get("normalize", False)
    h, features = np.asarray(observations), {}
    for index, (_, stride) in enumerate(CONVOLUTIONS[torso]):
        layer = p["torso"][f"conv_{index}"]
        h = convolution(h, layer["kernel"], stride, (0, 0))
        if normalize:
            h = layer_norm(h, p["torso"][f"norm_{index}"])
        else:
            h = h + layer["bias"]
        h = features[f"conv_{index}"] = relu(h)
    flat = h.reshape(len(h), -1)

    def stream(name):
        hidden = flat @ p[name]["hidden"]["kernel"]
        if normalize:
            hidden = layer_norm(hidden, p[name]["norm"])
        else:
            hidden = hidden + p[name]["hidden"]["bias"]
        hidden = features[name] = relu(hidden)
        outputs = hidden @ p[name]["output"]["kernel"] + p[name]["output"]["bias"]
        return outputs.reshape(len(outputs), -1, options.get("num_atoms", 1))

    if options.get("dueling"):
        advantages = stream("advantages")
        values = stream("state_value") + advantages - advantages.mean(1, keepdims=True)
    else:
        values = stream("action_values")
    return values if "num_atoms" in options else values[..., 0], features


VARIANTS = [
    {},
    {"normalize": True},
    {"dueling": True},
    {"num_atoms": 5},
    RAINBOW,
    RAINBOW | {"normalize": True},
]


@pytest.mark.parametrize("torso", SHAPES)
@pytest.mark.parametrize("options", VARIANTS)
def test_values_equal_plain_numpy(torso, options):
    apply, params = build(torso, **options)
    observations = random_images(3, SHAPES[torso])
    outputs, features = apply(params, observations, method="outputs_and_features")
    expected_outputs, expected = reference(params, observations, torso, options)
    np.testing.assert_allclose(outputs, expected_outputs, rtol=2e-5, atol=2e-5)
    assert features.keys() == expected.keys()
    for name, array in features.items():
        np.testing.assert_allclose(array, expected[name], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(apply(params, observations), outputs, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "total"),
    [
        # 8²·4·32+32, 4²·32·64+64, 3²·64·64+64, 3136·512+512 and 512·6+6
        ({}, 8224 + 32832 + 36928 + 1606144 + 3078),
        # 64 for each bias of a torso's unit, twice, and 1024 for the hidden layer's
        (
            {"normalize": True},
            *[8192 + 64 + 32768 + 128 + 36864 + 128 + 1605632 + 1024 + 3078],
        ),
        # Two streams, each twice for its noise; 51 and 6 x 51 outputs.
        (
            {"dueling": True, "noise_scale": 0.1, "num_atoms": 51},
            *[8224 + 32832 + 36928 + 4 * 1606144 + 2 * (513 * 51 + 513 * 306)],
        ),
    ],
)
def test_number_of_parameters(options, total):
    model = nnx.eval_shape(
        lambda: AtariQNetwork(num_actions=6, **options, rngs=nnx.Rngs(0))
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model))) == total


def test_number_of_parameters_with_minatar():
    model = nnx.eval_shape(
        lambda: AtariQNetwork((10, 10, 4), 6, torso="minatar", rngs=nnx.Rngs(0))
    )
    # 3²·4·16+16, 1024·128+128 and 128·6+6
    leaves = jax.tree.leaves(nnx.state(model))
    assert sum(leaf.size for leaf in leaves) == 592 + 131200 + 774


@pytest.mark.parametrize("options", [{}, RAINBOW])
def test_only_what_a_normalisation_replaces_is_left_out(options):
    plain, normalized = (
        set(leaves_by_path(build(**options, normalize=on)[1])) for on in (False, True)
    )
    norms = {path for path in normalized if "norm" in path.split("/")[1]}
    assert {path.rpartition("/")[2] for path in norms} == {"scale", "bias"}
    dropped = plain - normalized
    assert normalized - plain == norms
    assert {path.rpartition("/")[2] for path in dropped} <= {"bias", "noise_bias"}
    # One for each ReLU, and as many more where they are noisy.
    assert len(dropped) == len(norms) // 2 + 2 * bool(options)
    assert not any("output" in path for path in dropped)


@pytest.mark.parametrize("options", [{}, RAINBOW])
def test_the_mask_holds_all_kernels_but_the_last(options):
    _, params = build(**options, normalize=True)
    held = {
        path for path, chosen in leaves_by_path(PROJECTED(params)).items() if chosen
    }
    streams = ("state_value", "advantages") if options else ("action_values",)
    assert held == {
        *(f"torso/conv_{i}/kernel" for i in range(3)),
        *(f"{stream}/hidden/kernel" for stream in streams),
    }


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, RAINBOW])
@pytest.mark.parametrize("normalize", [False, True])
def test_scaling_one_kernel_matters_without_a_normalisation_only(options, normalize):
    with jax.enable_x64(True):
        apply, params = build(
            dtype=jnp.float64, epsilon=False, normalize=normalize, **options
        )
        observations = random_images(3, SHAPES["nature"], jnp.float64)
        outputs = apply(params, observations)
        held = leaves_by_path(PROJECTED(params))
        for path in (path for path, chosen in held.items() if chosen):
            changed = apply(scaled(params, {path}, 3.0), observations)
            is_same = bool(jnp.allclose(changed, outputs, rtol=1e-9, atol=1e-9))
            assert is_same == normalize, path


@pytest.mark.slow
@pytest.mark.parametrize("torso", SHAPES)
def test_initial_weights_are_uniform_up_to_one_over_the_root_of_the_inputs(torso):
    @jax.jit
    def init():
        model = AtariQNetwork(
            SHAPES[torso],
            3,
            torso=torso,
            hidden_dim=40,
            noise_scale=0.1,
            rngs=nnx.Rngs(1),
        )
        return nnx.state(model)

    leaves = leaves_by_path(init())
    for path, leaf in leaves.items():
        layer, _, name = path.rpartition("/")
        inputs = leaves[f"{layer}/kernel"][..., 0].size
        bound = inputs**-0.5
        if name.startswith("noise"):
            np.testing.assert_allclose(leaf, 0.1 * bound, rtol=1e-6, err_msg=path)
            continue
        assert jnp.abs(leaf).max() <= bound, path
        if leaf.size > 1000:
            # A uniform number's square is a third on average, and varies by .3.
            mean = float(jnp.mean(jnp.square(leaf))) / bound**2
            assert mean == pytest.approx(1 / 3, abs=4 * 0.3 / leaf.size**0.5), path


def dense(**options):
    layer = Dense(6, 4, **options, rngs=nnx.Rngs(0))
    return layer, jax.random.normal(jax.random.key(1), (5, 6))


@pytest.mark.slow
def test_noise_is_that_of_the_noisy_matrix():
    layer, inputs = dense(noise_scale=0.5)
    key = jax.random.key(2)

    def signed_root(key, size):
        z = np.asarray(jax.random.normal(key, (1, size)))[0]
        return np.sign(z) * np.sqrt(np.abs(z))

    in_key, out_key = jax.random.split(key)
    noise_in, noise_out = signed_root(in_key, 6), signed_root(out_key, 4)
    kernel = layer.kernel[...] + layer.noise_kernel[...] * np.outer(noise_in, noise_out)
    bias = layer.bias[...] + layer.noise_bias[...] * noise_out
    expected = np.asarray(inputs @ kernel) + np.asarray(bias)
    np.testing.assert_allclose(layer(inputs, key), expected, rtol=1e-5, atol=1e-6)
    mean = np.asarray(inputs @ layer.kernel[...]) + np.asarray(layer.bias[...])
    np.testing.assert_allclose(layer(inputs), mean, rtol=1e-5, atol=1e-6)
    assert np.abs(expected - mean).max() > 0.1


def test_a_key_is_nothing_to_a_layer_without_noise():
    layer, inputs = dense()
    np.testing.assert_array_equal(layer(inputs, jax.random.key(0)), layer(inputs))
    assert leaves_by_path(nnx.state(layer)).keys() == {"kernel", "bias"}
    layer, _ = dense(use_bias=False, noise_scale=0.1)
    assert leaves_by_path(nnx.state(layer)).keys() == {"kernel", "noise_kernel"}


@pytest.mark.slow
def test_every_layer_behind_the_torso_has_noise_of_its_own():
    apply, params = build(**RAINBOW)
    observations = random_images(2, SHAPES["nature"])
    key = jax.random.key(0)
    whole = apply(params, observations, key)
    # Zero noise in one layer changes outputs that have noise, and no others.
    for path in leaves_by_path(params):
        if path.endswith("noise_kernel"):
            quiet = scaled(params, {path}, 0.0)
            assert jnp.abs(apply(quiet, observations, key) - whole).max() > 1e-4, path
            np.testing.assert_array_equal(
                apply(quiet, observations), apply(params, observations)
            )
    others = [apply(params, observations, jax.random.key(i)) for i in (0, 1)]
    np.testing.assert_array_equal(others[0], whole)
    assert jnp.abs(others[1] - whole).max() > 1e-2


def test_streams_have_noise_of_their_own():
    apply, params = build(**RAINBOW)
    equal = nnx.to_pure_dict(params)
    equal["advantages"]["hidden"] = equal["state_value"]["hidden"]
    observations = random_images(2, SHAPES["nature"])

    def hidden(key):
        _, features = apply(equal, observations, key, "outputs_and_features")
        return features["state_value"], features["advantages"]

    np.testing.assert_array_equal(*hidden(None))
    first, second = hidden(jax.random.key(0))
    assert jnp.abs(first - second).max() > 1e-2


@pytest.mark.slow
def test_one_draw_of_noise_serves_a_batch():
    apply, params = build(**RAINBOW)
    observations, key = random_images(3, SHAPES["nature"]), jax.random.key(3)
    together = apply(params, observations, key)
    alone = jnp.concatenate([apply(params, o[None], key) for o in observations])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "torso",
    # Seeds of Atari take turns.
    ["minatar", pytest.param("nature", marks=pytest.mark.thorough)],
)
def test_models_of_many_seeds_at_once(torso):
    """Init, values and gradients under `vmap` are those of one seed after another."""
    observations = random_images(3, SHAPES[torso])

    def values_and_gradient(seed):
        model = AtariQNetwork(
            SHAPES[torso],
            3,
            torso=torso,
            hidden_dim=7,
            normalize=True,
            **RAINBOW,
            rngs=nnx.Rngs(jax.random.key(seed)),
        )
        graph, params = nnx.split(model)

        def mean_square(p):
            outputs = nnx.merge(graph, p)(observations, jax.random.key(seed))
            return jnp.mean(jnp.square(outputs)), outputs

        return params, jax.grad(mean_square, has_aux=True)(params)

    seeds = jnp.arange(2)
    together = jax.jit(jax.vmap(values_and_gradient))(seeds)
    alone = jax.jit(values_and_gradient)
    expected = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *[alone(seed) for seed in seeds]
    )
    chex.assert_trees_all_close(together, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_actions": 0}, "num_actions must be an int of at least 1, got 0."),
        ({"num_atoms": 1}, "num_atoms must be an int of at least 2, got 1."),
        ({"hidden_dim": 0}, "hidden_dim must be an int of at least 1, got 0."),
        (
            {"hidden_dim": 1, "normalize": True},
            "hidden_dim must be an int of at least 2, got 1.",
        ),
        ({"torso": "impala"}, "torso must be nature or minatar, got 'impala'."),
        ({"observation_shape": (84, 84)}, "observation_shape must be (height, width"),
        (
            {"observation_shape": (84, 35, 4)},
            "observation_shape must have at least 36 rows and columns for this torso",
        ),
        (
            {"observation_shape": (2, 9, 4), "torso": "minatar"},
            "observation_shape must have at least 3 rows",
        ),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 -- compared below
        AtariQNetwork(**arguments, rngs=nnx.Rngs(0))
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((2, 44, 36, 1), jnp.float32), ((44, 36, 2), jnp.float32), ((2, 44, 36, 2), int)],
)
def test_arrays_that_are_not_its_observations(shape, dtype):
    apply, params = build()
    message = r"^observations must be a floating array of shape \(n, 44, 36, 2\), got"
    with pytest.raises(ValueError, match=message):
        apply(params, jnp.ones(shape, dtype))


@pytest.mark.parametrize("noise_scale", [None, 0.1])
def test_the_gradient_of_a_dense_layer_has_another_form_on_a_cpu(noise_scale):
    layer = Dense(6, 4, noise_scale=noise_scale, rngs=nnx.Rngs(0))
    gradient = jax.jit(jax.grad(lambda x: layer(x, jax.random.key(0)).sum()))
    traced = gradient.trace(jnp.ones((3, 6)))
    for platform, expected in (("cpu", True), ("cuda", False)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("optimization_barrier" in text) == expected
