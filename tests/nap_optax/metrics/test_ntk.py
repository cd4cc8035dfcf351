"""The empirical tangent kernel against a Jacobian of all examples at once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers.x64 import enable_x64
from nap_optax.metrics import empirical_ntk, linearize, parameter_movement
from nap_optax.metrics.kernels import _layers


def apply(params, inputs):
    """A perceptron of three outputs; the count is no parameter."""
    hidden = jnp.tanh(inputs @ params["inner"] + params["bias"][None])
    return (hidden @ params["outer"]).reshape(len(inputs), 3)


def one_output(params, inputs):
    return apply(params, inputs)[:, 0]


def network(seed=0, dtype=jnp.float32):
    generator = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.asarray(generator.normal(size=shape), dtype)

    params = {
        "inner": normal(4, 6),
        "bias": normal(6),
        "outer": normal(6, 3),
        "count": jnp.int32(7),
    }
    return params, normal(7, 4), normal(5, 4)


@functools.partial(jax.jit, static_argnums=0)
def reference(function, params, inputs, others):
    """From the whole Jacobians: shape (n, k, m, k)."""
    floating = {name: leaf for name, leaf in params.items() if name != "count"}

    def jacobian(inputs):
        leaves = jax.tree.leaves(jax.jacrev(function)(floating, inputs))
        num_outputs = function(floating, inputs)[0].size
        rows = [leaf.reshape(len(inputs), num_outputs, -1) for leaf in leaves]
        return jnp.concatenate(rows, axis=2)

    return jnp.einsum("nip,mjp->nimj", jacobian(inputs), jacobian(others))


def test_of_a_product_by_hand():
    # f = a b x: df/da = b x, df/db = a x, so K = (a^2 + b^2) x x'.
    params = {"a": jnp.float32(2), "b": jnp.float32(3)}
    gram = empirical_ntk(
        lambda p, x: p["a"] * p["b"] * x, params, jnp.array([1.0, 2.0])
    )
    np.testing.assert_allclose(gram, [[13.0, 26.0], [26.0, 52.0]], rtol=1e-6)


@pytest.mark.parametrize("chunk_size", [None, 2, 3])
def test_any_chunks_give_the_whole(chunk_size):
    params, inputs, others = network()
    full = reference(apply, params, inputs, inputs)
    gram = empirical_ntk(apply, params, inputs, chunk_size=chunk_size)
    assert gram.shape == (7, 7)
    np.testing.assert_allclose(gram, np.einsum("nimi->nm", full), rtol=1e-5, atol=1e-5)
    cross = empirical_ntk(apply, params, inputs, others, chunk_size=chunk_size)
    expected = np.einsum("nimi->nm", reference(apply, params, inputs, others))
    np.testing.assert_allclose(cross, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [None, 3])
def test_of_all_pairs_of_outputs(chunk_size):
    params, inputs, others = network()
    options = {"outputs": "full", "chunk_size": chunk_size}
    gram = empirical_ntk(apply, params, inputs, **options)
    expected = reference(apply, params, inputs, inputs)
    np.testing.assert_allclose(gram, expected, rtol=1e-5, atol=1e-5)
    cross = empirical_ntk(apply, params, inputs, others, **options)
    expected = reference(apply, params, inputs, others)
    np.testing.assert_allclose(cross, expected, rtol=1e-5, atol=1e-5)
    assert cross.shape == (7, 3, 5, 3)


def test_of_one_output_without_an_axis():
    params, inputs, _ = network()
    expected = reference(one_output, params, inputs, inputs)[:, 0, :, 0]
    gram = empirical_ntk(one_output, params, inputs, chunk_size=2)
    np.testing.assert_allclose(gram, expected, rtol=1e-5, atol=1e-5)


def test_in_float64():
    with enable_x64(True):
        params, inputs, _ = network(dtype=jnp.float64)
        gram = empirical_ntk(one_output, params, inputs, chunk_size=3)
        assert gram.dtype == jnp.float64
        expected = reference(one_output, params, inputs, inputs)[:, 0, :, 0]
        np.testing.assert_allclose(gram, expected, rtol=1e-12)


def test_narrow_parameters_have_a_float32_kernel():
    params, inputs, _ = network(dtype=jnp.bfloat16)
    gram = empirical_ntk(one_output, params, inputs)
    assert gram.dtype == jnp.float32


def test_of_complex_parameters():
    # f = Re(w x) with w = u + i v: df/du = Re x, df/dv = -Im x.
    inputs = jnp.array([1 + 2j, 3 - 1j], jnp.complex64)
    gram = empirical_ntk(
        lambda w, x: jnp.real(w * x), jnp.asarray(0.5 + 1j, jnp.complex64), inputs
    )
    np.testing.assert_allclose(gram, [[5.0, 1.0], [1.0, 10.0]], rtol=1e-6)


def test_inputs_may_be_a_tree():
    params, inputs, _ = network()

    def split(params, inputs):
        return apply(params, jnp.concatenate([inputs["a"], inputs["b"]], axis=1))

    parts = {"a": inputs[:, :1], "b": inputs[:, 1:]}
    np.testing.assert_allclose(
        empirical_ntk(split, params, parts), empirical_ntk(apply, params, inputs)
    )


def test_under_jit_and_for_several_networks_at_once():
    params, inputs, _ = network()
    floating = {name: leaf for name, leaf in params.items() if name != "count"}
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), floating)
    grams = jax.jit(jax.vmap(lambda p: empirical_ntk(apply, p, inputs, chunk_size=2)))(
        two
    )
    expected = empirical_ntk(apply, params, inputs)
    np.testing.assert_allclose(grams[0], expected, rtol=1e-5)


def test_never_more_than_two_chunks_are_in_memory():
    """What XLA says it needs, for parameters of 4 MB and a Jacobian of 400 MB."""
    params = jnp.ones((1000, 1000))
    inputs = jnp.ones((100, 1000))

    def quadratic(params, inputs):
        # Of the sine, so that the matrix is not that of a layer, whose factors suffice.
        return jnp.sum((inputs @ jnp.sin(params)) ** 2, axis=1)

    def needed(chunk_size):
        gram = jax.jit(
            lambda p, x: empirical_ntk(quadratic, p, x, chunk_size=chunk_size)
        )
        return gram.lower(params, inputs).compile().memory_analysis()

    assert needed(5).temp_size_in_bytes < 3 * 5 * 4e6
    assert needed(100).temp_size_in_bytes > 4e8


def test_the_factors_of_a_layer_take_no_jacobian():
    """The same network of a matrix as it is: no number for each pair of units."""
    params = jnp.ones((1000, 1000))
    inputs = jnp.ones((100, 1000))

    def quadratic(params, inputs):
        return jnp.sum((inputs @ params) ** 2, axis=1)

    gram = jax.jit(lambda p, x: empirical_ntk(quadratic, p, x))
    needed = gram.lower(params, inputs).compile().memory_analysis()
    assert needed.temp_size_in_bytes < 4e6


def sequence(params, inputs):
    """Two positions of an example go through one matrix; another is used twice."""
    hidden = jax.nn.relu(inputs.reshape(-1, 2, 4) @ params["wide"])
    mixed = jnp.tanh(hidden @ params["twice"]) @ params["twice"]
    left = jnp.einsum("oi,nti->nto", params["left"], mixed)
    turned = jax.jit(lambda x, w: jnp.tensordot(x, w, ((1, 2), (1, 0))))
    return turned(left, params["turned"])


@pytest.mark.slow
def test_layers_of_any_kind():
    generator = np.random.default_rng(0)
    shapes = {
        **{"wide": (4, 30), "twice": (30, 30), "left": (9, 30)},
        "turned": (9, 2, 3),
    }
    params = {
        name: jnp.asarray(generator.normal(size=shape), jnp.float32) / shape[-1] ** 0.5
        for name, shape in shapes.items()
    }
    inputs, others = (
        jnp.asarray(generator.normal(size=(n, 8)), jnp.float32) for n in (5, 3)
    )
    for chunk_size in (None, 2):
        full = empirical_ntk(
            sequence, params, inputs, others, outputs="full", chunk_size=chunk_size
        )
        want = reference(sequence, params, inputs, others)
        np.testing.assert_allclose(full, want, rtol=1e-4, atol=1e-4)
        trace = empirical_ntk(sequence, params, inputs, others, chunk_size=chunk_size)
        np.testing.assert_allclose(
            trace, jnp.einsum("nimi->nm", want), rtol=1e-4, atol=1e-4
        )


def test_what_is_left_as_factors():
    leaves = [jnp.ones((4, 30)), jnp.ones((30, 30)), jnp.ones((9, 30))]
    leaves += [jnp.ones((9, 2, 3)), jnp.ones((2, 2))]

    def function(leaves, x):
        named = zip(("wide", "twice", "left", "turned"), leaves, strict=False)
        out = sequence(dict(named), x[None])
        small = x[:4].reshape(2, 2) @ leaves[4]
        return out[0] + small[0, 0]

    layers, _ = _layers.factored(function, leaves, jnp.ones(8))
    # Not what is used twice, or is small beside its rows' factors.
    assert {leaf: layer[:3] for leaf, layer in layers.items()} == {
        2: (2, 30, 9),
        3: (1, 18, 3),
    }
    layers, _ = _layers.factored(lambda own, x: x @ own[0], leaves[:1], jnp.ones(4))
    assert sorted(layers) == [0]


def looked_up(params, inputs):
    """Three rows of a table for each example, of which one may be out of it."""
    rows = params["table"].at[inputs].get(mode="fill", fill_value=0.3)
    clipped = params["clipped"].at[inputs].get(mode="clip")
    return jnp.sum(jnp.tanh(rows) * clipped, axis=1) @ params["outer"]


@pytest.mark.slow
def test_tables_of_which_rows_are_looked_up():
    generator = np.random.default_rng(0)
    shapes = {"table": (40, 30), "clipped": (40, 30), "outer": (30, 5)}
    params = {
        name: jnp.asarray(generator.normal(size=shape), jnp.float32)
        for name, shape in shapes.items()
    }
    # Rows that occur twice, in an example and in two, and one that is not there.
    inputs = jnp.array([[3, 3, 7], [7, 39, 41], [0, 3, 39]])
    layers, _ = _layers.factored(
        lambda leaves, x: looked_up(dict(zip(params, leaves, strict=True)), x[None])[0],
        list(params.values()),
        inputs[0],
    )
    assert {leaf: layer[:3] for leaf, layer in layers.items()} == {
        **{0: (3, 40, 30), 1: (3, 40, 30)},
        2: (1, 30, 5),
    }
    want = reference(looked_up, params, inputs, inputs)
    full = empirical_ntk(looked_up, params, inputs, outputs="full", chunk_size=2)
    np.testing.assert_allclose(full, want, rtol=1e-4, atol=1e-4)
    trace = empirical_ntk(looked_up, params, inputs, chunk_size=2)
    np.testing.assert_allclose(
        trace, jnp.einsum("nimi->nm", want), rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fill", "clip"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint32"])
def test_tables_with_more_rows_than_small_integers_can_number(dtype, mode):
    def function(params, inputs):
        rows = jnp.take(params["table"], inputs, axis=0, mode=mode)
        return jnp.tanh(rows).mean(axis=1) @ params["outer"]

    generator = np.random.default_rng(0)
    params = {
        name: jnp.asarray(generator.normal(size=shape), jnp.float32)
        for name, shape in {"table": (300, 30), "outer": (30, 2)}.items()
    }
    # By int32: jax 0.6 has no derivative of a clipped look-up by uint32.
    inputs = jnp.array([[0, 3], [44, 99], [126, 3]], jnp.int32)
    want = jnp.einsum("nimi->nm", reference(function, params, inputs, inputs))
    found = empirical_ntk(function, params, inputs.astype(dtype))
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


def test_columns_of_a_table_are_no_lookup():
    table = jnp.ones((30, 40))
    layers, _ = _layers.factored(
        lambda leaves, x: leaves[0][:, x].sum(axis=0), [table], jnp.array([1, 2])
    )
    assert not layers


def test_a_layer_of_the_platform_is_found():
    def function(leaves, x):
        return jax.lax.platform_dependent(
            x, leaves[0], cpu=lambda x, w: 2 * x @ w / 2, default=jnp.matmul
        )

    leaves, x = [jnp.ones((8, 20))], jnp.ones(8)
    if "branches_platforms" not in str(jax.make_jaxpr(function)(leaves, x)):
        pytest.skip("this JAX does not say in a program which branch is the default")
    layers, _ = _layers.factored(function, leaves, x)
    assert layers[0][:3] == (1, 8, 20)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"outputs": "sum"}, "outputs='sum'"),
        ({"chunk_size": 0}, "chunk_size=0"),
        ({"params": {}}, "params have no floating-point leaf"),
        ({"inputs": jnp.float32(1)}, "inputs must be arrays with one first axis"),
        ({"inputs": jnp.ones((0, 4))}, "inputs must be arrays with one first axis"),
        ({"inputs": (jnp.ones(3), jnp.ones(4))}, "inputs must be arrays with one"),
        ({"inputs": jnp.ones((3, 5))}, r"apply\(params, inputs\) fails: TypeError"),
        ({"apply": lambda p: p}, "must be a function of parameters and inputs"),
        ({"apply": lambda _, x: jnp.sum(x)}, "a row for each of the 7 examples"),
        ({"apply": lambda _, x: {"logits": x}}, "one real floating-point array"),
    ],
)
def test_what_is_refused(wrong, says):
    params, inputs, _ = network()
    arguments = {"apply": apply, "params": params, "inputs": inputs} | wrong
    with pytest.raises(ValueError, match=says):
        empirical_ntk(**arguments)


def test_other_inputs_must_have_like_outputs():
    params, inputs, _ = network()
    with pytest.raises(ValueError, match="outputs of another shape"):
        empirical_ntk(lambda _, x: x, params, inputs, inputs[:, :2])


@pytest.mark.slow
def test_linearized_networks_are_linear_with_the_same_tangents():
    params, inputs, _ = network()
    linear = linearize(apply, params)
    np.testing.assert_array_equal(linear(params, inputs), apply(params, inputs))
    moved = params | {"outer": params["outer"] + 3, "inner": params["inner"] - 1}
    half = params | {"outer": params["outer"] + 1.5, "inner": params["inner"] - 0.5}
    change = linear(moved, inputs) - linear(params, inputs)
    np.testing.assert_allclose(
        2 * (linear(half, inputs) - linear(params, inputs)), change, rtol=1e-5
    )
    assert jnp.max(jnp.abs(linear(moved, inputs) - apply(moved, inputs))) > 1
    np.testing.assert_allclose(
        empirical_ntk(linear, moved, inputs),
        empirical_ntk(apply, params, inputs),
        rtol=1e-5,
    )


def test_a_linearized_network_wants_the_same_parameters():
    params, inputs, _ = network()
    linear = linearize(apply, params)
    with pytest.raises(ValueError, match="linearize: params have the structure"):
        linear({"inner": params["inner"]}, inputs)
    with pytest.raises(ValueError, match=r"'outer' has the shape \(3, 6\)"):
        linear(params | {"outer": params["outer"].T}, inputs)


def test_movement_by_hand():
    initial = {"a": jnp.array([3.0]), "b": jnp.array([[4.0]]), "count": jnp.int32(1)}
    moved = {"a": jnp.array([3.0]), "b": jnp.array([[1.0]]), "count": jnp.int32(9)}
    np.testing.assert_allclose(parameter_movement(moved, initial), 0.6, rtol=1e-6)
    assert parameter_movement(initial, initial) == 0


def test_movement_of_float16():
    initial = {"a": jnp.full(4, 3e4, jnp.float16)}  # its squares are out of range
    moved = {"a": jnp.full(4, 4.5e4, jnp.float16)}
    np.testing.assert_allclose(parameter_movement(moved, initial), 0.5, rtol=1e-3)


def test_movement_from_zero():
    zero, one = {"w": jnp.zeros(2)}, {"w": jnp.ones(2)}
    assert parameter_movement(one, zero) == jnp.inf
    assert jnp.isnan(parameter_movement(zero, zero))
