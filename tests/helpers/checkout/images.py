"""Shared parts of the tests of image models: plain numpy layers, and helpers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

EPSILON = 1e-6  # of the models' normalisations


def convolution(images, kernel, stride, padding):
    """Cross-correlation; the padding is (before, after), alike for both axes."""
    size = kernel.shape[0]
    padded = np.pad(images, [(0, 0), padding, padding, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
    windows = windows[:, ::stride, ::stride]
    return np.einsum("nhwcij,ijco->nhwo", windows, kernel)


def layer_norm(x, norm):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(-1, keepdims=True) + EPSILON)
    return centred / deviation * norm["scale"] + norm["bias"]


def relu(x):
    return np.maximum(x, 0)


def split(build, dtype=jnp.float32):
    """A model as (apply, params) with random parameters of the size of its own.

    No scale is 1 and no offset 0, so that both matter. Built in the abstract: eager
    initialisation compiles far longer than these small models take to run.
    """
    graph, shapes = nnx.split(nnx.eval_shape(build))
    generator = np.random.default_rng(0)

    def fill(path, leaf):
        if leaf.ndim == 1:
            mean = float(path[-2].key == "scale")
            values = mean + generator.uniform(-0.4, 0.4, leaf.shape)
        else:
            deviation = math.prod(leaf.shape[:-1]) ** -0.5
            values = deviation * generator.normal(size=leaf.shape)
        return jnp.asarray(values, dtype)

    params = jax.tree_util.tree_map_with_path(fill, shapes)

    @functools.partial(jax.jit, static_argnames="method")
    def apply(params, images, method="__call__"):
        return getattr(nnx.merge(graph, params), method)(images)

    return apply, params


def without_epsilon(model):
    """The same model with normalisations whose ε is 0."""
    for _, module in nnx.iter_modules(model):
        if isinstance(module, nnx.LayerNorm):
            module.epsilon = 0.0
    return model


def random_images(n, shape, dtype=jnp.float32, seed=0):
    generator = np.random.default_rng(seed)
    return jnp.asarray(generator.normal(size=(n, *shape)), dtype)


def leaves_by_path(params):
    leaves, _ = jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(params))
    return {"/".join(key.key for key in path): leaf for path, leaf in leaves}


def scaled(params, names, factor):
    """The parameters with the leaves of these paths multiplied by the factor."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            factor * leaf
            if jax.tree_util.keystr(path[:-1], simple=True, separator="/") in names
            else leaf
        ),
        params,
    )
