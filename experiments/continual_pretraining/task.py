"""Texts as arrays, and the pieces that are drawn from them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.continual_pretraining import corpora
from experiments.continual_pretraining.config import Config


class Texts(NamedTuple):
    """Both corpora on the device, in the order of a run; the same for all members."""

    train: jax.Array  # (bytes of both,) uint8, one after the other
    starts: jax.Array  # (2,) int32, of each in `train`
    sizes: jax.Array  # (2,) int32
    validation: jax.Array  # (2, windows, context + 1) uint8


def make_texts(config: Config, read: corpora.Corpora) -> Texts:
    """Puts the corpora of a run on the device."""
    texts = [read.texts[name] for name in config.order]
    sizes = np.asarray([len(text.train) for text in texts], np.int32)
    validation = [
        evenly_spaced(text.validation, config.validation_windows, config.context + 1)
        for text in texts
    ]
    return Texts(
        train=jnp.asarray(_as_array(b"".join(text.train for text in texts))),
        starts=jnp.asarray([0, sizes[0]], jnp.int32),
        sizes=jnp.asarray(sizes),
        validation=jnp.asarray(np.stack(validation)),
    )


def evenly_spaced(text: bytes, number: int, length: int) -> np.ndarray:
    """Pieces from the start to the end of a text, shape (number, length)."""
    starts = np.linspace(0, len(text) - length, number).astype(np.int64)
    return _as_array(text)[starts[:, None] + np.arange(length)]


def draw(
    key: jax.Array, texts: Texts, corpus: jax.Array, *, number: int, length: int
) -> jax.Array:
    """Draws pieces that begin anywhere in the training text of a corpus.

    Args:
      key: of this batch.
      texts: the corpora.
      corpus: 0 for the first, 1 for the second; may be traced.
      number: how many pieces.
      length: of each, in bytes; at most that of the text.

    Returns:
      The pieces, shape (number, length), uint8.
    """
    last = texts.sizes[corpus] - length
    offsets = jax.random.randint(key, (number,), 0, last + 1)
    first = texts.starts[corpus] + offsets
    return texts.train[first[:, None] + jnp.arange(length)[None]]


def _as_array(text: bytes) -> np.ndarray:
    return np.frombuffer(text, np.uint8)
