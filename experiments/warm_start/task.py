"""The growing training set: its examples in each phase, and its batches."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

NUM_SHIFTS = 9  # -4 to 4 pixels
PADDING = NUM_SHIFTS // 2


class Arrays(NamedTuple):
    """A data set on the device, the same for all members."""

    train_images: jax.Array  # (N, height, width, channels) uint8
    train_labels: jax.Array  # (N,) int32
    test_images: jax.Array  # (test, height, width, channels) uint8
    test_labels: jax.Array  # (test,) int32


class Split(NamedTuple):
    """The random draws of one seed."""

    key: jax.Array  # () typed key, of the batches
    rows: jax.Array  # (num_train,) int32 of the training set; the first come first
    labels: jax.Array  # (num_train,) int32, noise included


class Draw(NamedTuple):
    """The state of a pass over the examples."""

    order: jax.Array  # (num_train,) int32 into the split
    position: jax.Array  # () int32, of the next batch in it


def make_split(
    key: jax.Array,
    arrays: Arrays,
    *,
    num_train: int,
    num_classes: int,
    label_noise: Any,
) -> Split:
    """Draws the training examples of a seed, and the noise in their labels.

    The examples of each phase are the first ones of `rows`, so that a larger set
    holds the smaller ones, as in Ash & Adams (2020).

    Args:
      key: the key of this seed.
      arrays: the data set.
      num_train: number of examples to draw.
      num_classes: number of classes.
      label_noise: share of labels drawn anew, uniformly over all classes.

    Returns:
      The split.
    """
    rows_key, noise_key, label_key, batch_key = jax.random.split(key, 4)
    order = jax.random.permutation(rows_key, len(arrays.train_labels))
    rows = order[:num_train].astype(jnp.int32)
    is_noise = jax.random.uniform(noise_key, (num_train,)) < label_noise
    noise = jax.random.randint(label_key, (num_train,), 0, num_classes, jnp.int32)
    labels = jnp.where(is_noise, noise, arrays.train_labels[rows])
    return Split(batch_key, rows, labels)


def start(num_train: int) -> Draw:
    """The state before the first batch; the first step of a phase shuffles."""
    return Draw(jnp.arange(num_train, dtype=jnp.int32), jnp.zeros([], jnp.int32))


def next_batch(
    draw: Draw,
    key: jax.Array,
    num_available: jax.Array,
    *,
    is_new_phase: jax.Array,
    batch_size: int,
) -> tuple[Draw, jax.Array]:
    """Takes the next examples of a pass, or begins a new pass.

    A pass visits every available example once, in a random order, and leaves out the
    last ones that do not fill a batch.

    Args:
      draw: the state of the pass.
      key: the key for the order of a new pass.
      num_available: number of available examples, the first ones.
      is_new_phase: whether that number may have changed.
      batch_size: number of examples to take; at most `num_available`.

    Returns:
      The new state of the pass, and the examples, shape (batch_size,).
    """
    is_new_pass = is_new_phase | (draw.position + batch_size > num_available)
    order = jax.lax.cond(
        is_new_pass,
        lambda: _shuffled(key, num_available, len(draw.order)),
        lambda: draw.order,
    )
    position = jnp.where(is_new_pass, 0, draw.position)
    batch = jax.lax.dynamic_slice_in_dim(order, position, batch_size)
    return Draw(order, position + batch_size), batch


def _shuffled(key: jax.Array, num_available: jax.Array, size: int) -> jax.Array:
    """The available examples in a random order, then the others."""
    rank = jax.random.uniform(key, (size,))
    rank = jnp.where(jnp.arange(size) < num_available, rank, 2.0)
    return jnp.argsort(rank).astype(jnp.int32)


def to_inputs(
    images: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]
) -> jax.Array:
    """Turns bytes into the network's inputs: channels of mean 0 and deviation 1."""
    of_channels = (1, 1, 1, -1)
    centre = jnp.asarray(mean, jnp.float32).reshape(of_channels)
    width = jnp.asarray(std, jnp.float32).reshape(of_channels)
    return (images.astype(jnp.float32) / 255 - centre) / width


def augment(key: jax.Array, images: jax.Array) -> jax.Array:
    """Shifts images by up to 4 pixels, filling in zeros, and mirrors half of them.

    This is the usual crop and flip (He et al., 2015, section 4.2).

    Args:
      key: the key of this batch.
      images: the images, shape (n, height, width, channels).

    Returns:
      Images of the same shape and dtype.
    """
    shift_key, flip_key = jax.random.split(key)
    shifts = jax.random.randint(shift_key, (len(images), 2), 0, NUM_SHIFTS)
    flips = jax.random.bernoulli(flip_key, shape=(len(images),))

    def one(image: jax.Array, shift: jax.Array, flip: jax.Array) -> jax.Array:
        padded = jnp.pad(image, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
        cropped = jax.lax.dynamic_slice(padded, (*shift, 0), image.shape)
        return jnp.where(flip, cropped[:, ::-1], cropped)

    return jax.vmap(one)(images, shifts, flips)
