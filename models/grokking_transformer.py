"""A small transformer that adds two numbers modulo p, read out at one token.

`GrokkingTransformer.full_sequence` is its textbook form. `__call__` is the same
function, but only the last position is read out: it computes the last block's query and
MLP and the unembedding only there. With one block it gathers keys and values from few
rows (`models.gathered_attention`).

Shape suffixes: N pairs, R rows of (token, position), L the five positions, D width,
H heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from models import gathered_attention
from models.transformer_block import Block, linear, rms_norm, table

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

    with the second and third line once for each block. There are no biases and no
    causal mask; all five tokens attend to all five. Every matrix starts as a normal
    with variance 1 / (inputs) and the token table with variance 1 / width. The position
    table starts with ``position_scale`` times the token table's standard deviation. The
    width is ``num_heads * head_dim``. Parameters follow Flax's names: matrices are
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
        token table. The smaller it is, the more alike the network treats x and y. May
        be traced.
      normalize: whether to have the rms normalisations (ε = 1e-6), two in each block
        and one at the end; if not, each is the identity and has no parameters.
      rngs: random number generators for the initial parameters.

    Raises:
      ValueError: if ``modulus`` is below 2 or another size is below 1; when called, if
        x and y are not integer arrays of the same shape ``(n,)``.

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
        self.token_embedding = table(modulus + 3, width, rngs)
        self.position_embedding = table(
            SEQUENCE_LENGTH, width, rngs, scale=position_scale
        )
        self.blocks = nnx.List(
            Block(num_heads, head_dim, mlp_dim, normalize=normalize, rngs=rngs)
            for _ in range(num_blocks)
        )
        self.unembedding_norm = rms_norm(width, normalize, rngs)
        self.unembedding = linear(width, modulus, rngs)

    def full_sequence(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Logits of the sum at ``□``, by the formula, at all five positions.

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

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """The same logits, without computing unused positions.

        Args:
          x: first numbers, shape ``(n,)``, integers.
          y: second numbers, shape ``(n,)``, integers.

        Returns:
          Logits, shape ``(n, modulus)``.
        """
        residual_ND = self.features(x, y)["residual"]
        return self.unembedding(self.unembedding_norm(residual_ND))

    def features(self, x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
        """Features of the last block at ``□``; under ``jit``, unused ones are free.

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
        weights = gathered_attention.attention_weights(last, normed_RD, x, y)
        attended_ND = gathered_attention.attended(last, weights, normed_RD, x, y)
        return last.after_attention(rows_RD[-1:], last.output(attended_ND))

    def attention_weights(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """The weights with which ``□`` attends to each of the five tokens.

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
        normed_RD = last.attention_norm(self._rows())
        weights = gathered_attention.attention_weights(last, normed_RD, x, y)
        first_NH, second_NH, dot_NH, equals_NH, square_NH = weights
        in_order = (first_NH, dot_NH, second_NH, equals_NH, square_NH)
        return jnp.stack(in_order, axis=-1)

    def _rows(self) -> jax.Array:
        return gathered_attention.rows(
            self.token_embedding.embedding[...], self.position_embedding.embedding[...]
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
