"""Attention of the last of five tokens to all of them, for many pairs at once.

In the first block, keys and values depend only on a token and its position. So 2p + 3
rows serve all p² pairs: p numbers in first place, p in third and one row for each of
`·`, `=` and `□`. Pairs gather their keys and values from these rows.

Shape suffixes: N pairs, R rows of (token, position), L the five positions, D width,
H heads, K dimensions of a head, P numbers (the modulus).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from models.transformer_block import Block

__all__ = ["attended", "attention_weights", "rows"]

NUM_OTHERS = 3
"""Number of tokens that are no numbers."""


def rows(tokens: jax.Array, positions_LD: jax.Array) -> jax.Array:
    """The residual stream before attention, for each token at each place it can have.

    Args:
      tokens: the token table, shape ``(p + 3, width)``, `·`, `=` and `□` last.
      positions_LD: the position table, shape ``(5, width)``.

    Returns:
      The rows, shape ``(2p + 3, width)``: p numbers in first place, p in third, and the
      others.
    """
    tokens_PD, others_3D = jnp.split(tokens, [len(tokens) - NUM_OTHERS])
    first_PD = tokens_PD + positions_LD[0:1]
    second_PD = tokens_PD + positions_LD[2:3]
    others_3D = others_3D + jnp.stack([positions_LD[i] for i in (1, 3, 4)])
    return jnp.concatenate([first_PD, second_PD, others_3D])


def attention_weights(
    block: Block, normed_RD: jax.Array, x: jax.Array, y: jax.Array
) -> list[jax.Array]:
    """The weights with which `□` attends to x, y, `·`, `=` and `□`.

    Args:
      block: the only block.
      normed_RD: the rows as attention reads them.
      x: first numbers, shape ``(n,)``, integers.
      y: second numbers, shape ``(n,)``, integers.

    Returns:
      Five arrays of shape ``(n, num_heads)``.
    """
    heads = (block.num_heads, block.head_dim)
    query_HK = block.query(normed_RD[-1]).reshape(heads) / block.head_dim**0.5
    # All queries are equal, so keys are needed only along their direction.
    key_kernel_DHK = block.key.kernel[...].reshape(-1, *heads)
    scores_RH = normed_RD @ jnp.einsum("dhk,hk->dh", key_kernel_DHK, query_HK)
    first_PH, second_PH, others_3H = _split_rows(scores_RH)
    first_NH, second_NH = first_PH[x], second_PH[y]
    others_NH = [jnp.broadcast_to(row_H, first_NH.shape) for row_H in others_3H]
    return _softmax([first_NH, second_NH, *others_NH])


def attended(
    block: Block,
    weights: Sequence[jax.Array],
    normed_RD: jax.Array,
    x: jax.Array,
    y: jax.Array,
) -> jax.Array:
    """The values averaged with the attention weights, shape ``(n, width)``."""
    heads = (block.num_heads, block.head_dim)
    first_PD, second_PD, others_3D = _split_rows(block.value(normed_RD))
    first_NHK = first_PD[x].reshape(-1, *heads)
    second_NHK = second_PD[y].reshape(-1, *heads)
    gathered_NHK = weights[0][..., None] * first_NHK
    gathered_NHK += weights[1][..., None] * second_NHK
    # The values of `·`, `=` and `□` are the same for all pairs: a small matrix
    # product with one block for each head, instead of N copies of them.
    blocks_3HHK = jnp.einsum(
        "ihk,hg->ihgk",
        others_3D.reshape(-1, *heads),
        jnp.eye(block.num_heads, dtype=others_3D.dtype),
    )
    width = block.num_heads * block.head_dim
    others_ND = jnp.concatenate(weights[2:], axis=1) @ blocks_3HHK.reshape(-1, width)
    return gathered_NHK.reshape(-1, width) + others_ND


def _split_rows(rows: jax.Array) -> list[jax.Array]:
    modulus = (len(rows) - NUM_OTHERS) // 2
    return jnp.split(rows, [modulus, 2 * modulus])


def _softmax(scores: Sequence[jax.Array]) -> list[jax.Array]:
    """Softmax over a few arrays, element by element, which fuses better than a stack.

    The maximum is over the gathered scores of each pair. With a maximum over the whole
    table, all weights of a pair far below it would underflow and give NaN.
    """
    largest = scores[0]
    for score in scores[1:]:
        largest = jnp.maximum(largest, score)
    largest = lax.stop_gradient(largest)
    exponentials = [jnp.exp(score - largest) for score in scores]
    normalizer = 1 / sum(exponentials)
    return [exponential * normalizer for exponential in exponentials]
