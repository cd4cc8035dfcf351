"""A small transformer that adds two numbers modulo p, read out at one token.

Only the last position is read out, so the last block's query and MLP and the
unembedding are needed there alone. And with one block, keys and values depend on a
token and its position only (p numbers in first place, p in third, and one row for each
of `·`, `=` and `□`), so the 2p + 3 rows serve all p² pairs by gathering.
`GrokkingTransformer.__call__` does that; `GrokkingTransformer.full_sequence` is the
same function in its textbook form.

Shape suffixes: N pairs, R rows of (token, position), L the five positions, D width,
H heads, K dimensions of a head, P numbers (the modulus).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from models.transformer_block import Block, linear, rms_norm

__all__ = ["GrokkingTransformer"]

SEQUENCE_LENGTH = 5
AT_SQUARE = slice(-1, None)


class GrokkingTransformer(nnx.Module):
    r"""Predicts x + y mod p from the five tokens ``x · y = □``, read out at ``□``.

    .. math::

        h &= E_\text{token} + P_\text{position} \\
        h &\leftarrow h + W_O \operatorname{attention}(\operatorname{rms}_1(h)) \\
        h &\leftarrow h + W_2 \operatorname{relu}(W_1 \operatorname{rms}_2(h)) \\
        \text{logits} &= W_U \operatorname{rms}_3(h_\square)

    with the second and third line once for each block. No biases, no causal mask; all
    five tokens attend to all five. Every matrix starts as a normal with variance
    1 / (inputs), the token table with variance 1 / width, the position table with
    ``position_scale`` times its standard deviation. The width is
    ``num_heads * head_dim``. Parameters follow Flax's names: matrices are
    two-dimensional ``kernel``, tables ``embedding``, gains of a normalisation
    ``scale``. Numbers must lie in 0..modulus - 1; this is not checked.

    Args:
      modulus: p, the number of numbers and of classes.
      num_blocks: blocks of attention and MLP. With one, 2p + 3 rows serve all pairs;
        two take some nine times as long.
      num_heads: number of attention heads.
      head_dim: dimensions of each head.
      mlp_dim: hidden units of the MLP.
      position_scale: initial standard deviation of the position table over that of the
        token table. The smaller, the more alike the network treats x and y; may be
        traced.
      normalize: whether the rms normalisations (ε = 1e-6) are there, two in each block
        and one at the end; without them each is the identity and has no parameters.
      rngs: random number generators for the initial parameters.

    Raises:
      ValueError: if ``modulus`` is below 2 or another size below 1; when called, if x
        and y are not integer arrays of the same shape ``(n,)``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from models import GrokkingTransformer
      >>> model = GrokkingTransformer(7, rngs=nnx.Rngs(0))
      >>> model(jnp.array([1, 2, 3]), jnp.array([6, 0, 5])).shape
      (3, 7)

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, section 4
    """

    def __init__(
        self,
        modulus: int,
        *,
        num_blocks: int = 1,
        num_heads: int = 4,
        head_dim: int = 32,
        mlp_dim: int = 512,
        position_scale: float | jax.Array = 0.1,
        normalize: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        _check_sizes(
            modulus,
            num_blocks=num_blocks,
            num_heads=num_heads,
            head_dim=head_dim,
            mlp_dim=mlp_dim,
        )
        width = num_heads * head_dim
        self.modulus = modulus
        self.token_embedding = _table(modulus + 3, width, rngs)
        self.position_embedding = _table(
            SEQUENCE_LENGTH, width, rngs, scale=position_scale
        )
        self.blocks = nnx.List(
            Block(num_heads, head_dim, mlp_dim, normalize=normalize, rngs=rngs)
            for _ in range(num_blocks)
        )
        self.unembedding_norm = rms_norm(width, normalize, rngs)
        self.unembedding = linear(width, modulus, rngs)

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Logits of the sum at ``□``.

        Args:
          x: first numbers, shape ``(n,)``, integers.
          y: second numbers, shape ``(n,)``, integers.

        Returns:
          Logits, shape ``(n, modulus)``.
        """
        residual_ND = self.features(x, y)["residual"]
        return self.unembedding(self.unembedding_norm(residual_ND))

    def features(self, x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
        """What the last block computes at ``□``; under ``jit``, unused ones are free.

        Args:
          x: first numbers, shape ``(n,)``, integers.
          y: second numbers, shape ``(n,)``, integers.

        Returns:
          ``attention_output``, shape ``(n, width)``, after W_O; ``mlp_hidden``, shape
          ``(n, mlp_dim)``, after the ReLU; ``residual``, shape ``(n, width)``, the
          residual stream that the last normalisation and the unembedding read.
        """
        _check_pairs(x, y)
        *before, last = self.blocks
        if before:
            at_square = last.features(self._stream(x, y, before), queries=AT_SQUARE)
            return jax.tree.map(lambda feature: feature[:, 0], at_square)
        rows_RD = self._rows()
        normed_RD = last.attention_norm(rows_RD)
        attended_ND = self._attended(self._weights(normed_RD, x, y), normed_RD, x, y)
        return last.after_attention(rows_RD[-1:], last.output(attended_ND))

    def attention_weights(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """How much ``□`` attends to each of the five tokens.

        Args:
          x: first numbers, shape ``(n,)``, integers.
          y: second numbers, shape ``(n,)``, integers.

        Returns:
          Weights in the order of the tokens, shape ``(n, num_heads, 5)``.
        """
        _check_pairs(x, y)
        *before, last = self.blocks
        if before:
            normed_NLD = last.attention_norm(self._stream(x, y, before))
            return last.attention_weights(normed_NLD, queries=AT_SQUARE)[:, :, 0]
        weights = self._weights(last.attention_norm(self._rows()), x, y)
        first_NH, second_NH, dot_NH, equals_NH, square_NH = weights
        in_order = (first_NH, dot_NH, second_NH, equals_NH, square_NH)
        return jnp.stack(in_order, axis=-1)

    def full_sequence(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """The same logits, computed at all five positions without any short cut.

        Args:
          x: first numbers, shape ``(n,)``, integers.
          y: second numbers, shape ``(n,)``, integers.

        Returns:
          Logits, shape ``(n, modulus)``.
        """
        _check_pairs(x, y)
        h_NLD = self._stream(x, y, self.blocks)
        return self.unembedding(self.unembedding_norm(h_NLD))[:, -1]

    def _stream(self, x: jax.Array, y: jax.Array, blocks: Sequence[Block]) -> jax.Array:
        """The residual stream at all five positions after some blocks."""
        dot, equals, square = (jnp.full_like(x, self.modulus + i) for i in range(3))
        tokens_NL = jnp.stack([x, dot, y, equals, square], axis=1)
        # Indexed, not called: `nnx.Embed` casts to the dtype it was built with.
        h_NLD = self.token_embedding.embedding[...][tokens_NL]
        h_NLD += self.position_embedding.embedding[...][None]
        for block in blocks:
            h_NLD = block.features(h_NLD)["residual"]
        return h_NLD

    def _rows(self) -> jax.Array:
        """The residual stream before attention: rows of x, y, `·`, `=` and `□`."""
        tokens_PD, others_3D = jnp.split(
            self.token_embedding.embedding[...], [self.modulus]
        )
        positions_LD = self.position_embedding.embedding[...]
        first_PD = tokens_PD + positions_LD[0:1]
        second_PD = tokens_PD + positions_LD[2:3]
        others_3D = others_3D + jnp.stack([positions_LD[i] for i in (1, 3, 4)])
        return jnp.concatenate([first_PD, second_PD, others_3D])

    def _weights(
        self, normed_RD: jax.Array, x: jax.Array, y: jax.Array
    ) -> list[jax.Array]:
        """Attention of `□` to x, y, `·`, `=` and `□`: five arrays of shape (N, H)."""
        (block,) = self.blocks
        heads = (block.num_heads, block.head_dim)
        query_HK = block.query(normed_RD[-1]).reshape(heads) / block.head_dim**0.5
        # All queries are this one, so that keys are needed along its direction only.
        key_kernel_DHK = block.key.kernel[...].reshape(-1, *heads)
        scores_RH = normed_RD @ jnp.einsum("dhk,hk->dh", key_kernel_DHK, query_HK)
        first_PH, second_PH, others_3H = self._split_rows(scores_RH)
        first_NH, second_NH = first_PH[x], second_PH[y]
        others_NH = [jnp.broadcast_to(row_H, first_NH.shape) for row_H in others_3H]
        return _softmax([first_NH, second_NH, *others_NH])

    def _attended(
        self,
        weights: Sequence[jax.Array],
        normed_RD: jax.Array,
        x: jax.Array,
        y: jax.Array,
    ) -> jax.Array:
        """Values averaged with the attention weights, shape (N, D)."""
        (block,) = self.blocks
        heads = (block.num_heads, block.head_dim)
        first_PD, second_PD, others_3D = self._split_rows(block.value(normed_RD))
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
        others_ND = jnp.concatenate(weights[2:], axis=1) @ blocks_3HHK.reshape(
            -1, width
        )
        return gathered_NHK.reshape(-1, width) + others_ND

    def _split_rows(self, rows: jax.Array) -> list[jax.Array]:
        return jnp.split(rows, [self.modulus, 2 * self.modulus])


def _softmax(scores: Sequence[jax.Array]) -> list[jax.Array]:
    """Softmax over a few arrays, element by element: fuses where a stack would not.

    The maximum is over the gathered scores of each pair. With a maximum over the whole
    table, the weights of a pair far below it would all underflow, and give NaN.
    """
    largest = scores[0]
    for score in scores[1:]:
        largest = jnp.maximum(largest, score)
    largest = lax.stop_gradient(largest)
    exponentials = [jnp.exp(score - largest) for score in scores]
    normalizer = 1 / sum(exponentials)
    return [exponential * normalizer for exponential in exponentials]


def _table(
    num_rows: int, width: int, rngs: nnx.Rngs, scale: float | jax.Array = 1.0
) -> nnx.Embed:
    return nnx.Embed(
        num_rows,
        width,
        embedding_init=nnx.initializers.normal(scale * width**-0.5),
        rngs=rngs,
    )


def _check_sizes(modulus: int, **sizes: int) -> None:
    if modulus < 2:
        raise ValueError(f"modulus must be at least 2, got {modulus}.")
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}.")


def _check_pairs(x: jax.Array, y: jax.Array) -> None:
    for name, array in {"x": x, "y": y}.items():
        if jnp.ndim(array) != 1 or not jnp.issubdtype(array.dtype, jnp.integer):
            raise ValueError(
                f"{name} must be an integer array of shape (n,), got "
                f"{array.dtype} of shape {jnp.shape(array)}."
            )
    if x.shape != y.shape:
        raise ValueError(f"x and y must have one shape, got {x.shape} and {y.shape}.")
