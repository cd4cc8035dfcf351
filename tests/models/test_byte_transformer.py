"""The byte-level transformer against its formula in NumPy, and what it may look at."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models import ByteTransformer

SIZES = {"num_blocks": 2, "num_heads": 2, "head_dim": 3, "mlp_dim": 11}


@pytest.fixture(scope="module")
def model():
    own = ByteTransformer(7, **SIZES, rngs=nnx.Rngs(0))
    graph, params = nnx.split(own)
    factor = np.random.default_rng(0)
    # Gains are not 1, so that they matter.
    scaled = jax.tree.map(
        lambda leaf: leaf * factor.uniform(0.5, 2, leaf.shape).astype(np.float32),
        params,
    )
    return nnx.merge(graph, scaled)


def text(length=7):
    return np.random.default_rng(1).integers(0, 256, (3, length), np.uint8)


def rms(h, norm):
    scale = np.asarray(norm.scale[...])
    return h / np.sqrt(np.mean(h**2, -1, keepdims=True) + 1e-6) * scale


def times(h, layer):
    return h @ np.asarray(layer.kernel[...])


def by_formula(model, sequence):
    """Logits of one sequence, position by position and head by head."""
    tables = (model.byte_embedding, model.position_embedding)
    of_bytes, of_positions = (np.asarray(own.embedding[...]) for own in tables)
    h = of_bytes[sequence] + of_positions[: len(sequence)]
    for block in model.blocks:
        normed = rms(h, block.attention_norm)
        query, key, value = (
            times(normed, layer).reshape(len(h), 2, 3)
            for layer in (block.query, block.key, block.value)
        )
        attended = np.zeros((len(h), 2, 3))
        for at, head in itertools.product(range(len(h)), range(2)):
            scores = key[: at + 1, head] @ query[at, head] / np.sqrt(3)
            weights = np.exp(scores) / np.exp(scores).sum()
            attended[at, head] = weights @ value[: at + 1, head]
        h = h + times(attended.reshape(len(h), 6), block.output)
        hidden = np.maximum(times(rms(h, block.mlp_norm), block.mlp_in), 0)
        h = h + times(hidden, block.mlp_out)
    return times(rms(h, model.unembedding_norm), model.unembedding)


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 7])
def test_it_is_its_formula(model, length):
    sequences = text(length)
    want = np.stack([by_formula(model, sequence) for sequence in sequences])
    np.testing.assert_allclose(model(jnp.asarray(sequences)), want, atol=1e-4)


def test_a_position_sees_nothing_that_comes_later(model):
    before, after = text(), text()
    after[:, 4] += 1
    one, other = (np.asarray(model(jnp.asarray(own))) for own in (before, after))
    np.testing.assert_array_equal(one[:, :4], other[:, :4])
    assert np.abs(one[:, 4:] - other[:, 4:]).max(axis=(0, 2)).min() > 1e-3


@pytest.mark.slow
def test_matrices_begin_with_the_variance_of_their_inputs():
    model = ByteTransformer(64, num_heads=4, head_dim=32, rngs=nnx.Rngs(0))
    block = model.blocks[0]
    for kernel in (block.query, block.mlp_in, block.mlp_out, model.unembedding):
        values = kernel.kernel[...]
        np.testing.assert_allclose(jnp.std(values), len(values) ** -0.5, rtol=0.03)
    for table in (model.byte_embedding, model.position_embedding):
        np.testing.assert_allclose(jnp.std(table.embedding[...]), 128**-0.5, rtol=0.03)


@pytest.mark.parametrize(
    "inputs",
    [
        jnp.zeros((1, 7)),
        jnp.zeros(7, int),
        jnp.zeros((1, 8), int),
        jnp.zeros((1, 0), int),
    ],
)
def test_what_is_no_text_is_refused(model, inputs):
    with pytest.raises(ValueError, match="bytes must be an integer array"):
        model(inputs)


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match="mlp_dim must be at least 1, got 0"):
        ByteTransformer(7, mlp_dim=0, rngs=nnx.Rngs(0))
