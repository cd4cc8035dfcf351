"""A small decoder-only transformer that predicts the next byte of a text.

Shape suffixes: N sequences, L positions, D width, V values of a byte.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from models.transformer_block import Block, linear, rms_norm, table

__all__ = ["ByteTransformer"]

NUM_BYTES = 256


class ByteTransformer(nnx.Module):
    r"""Predicts each byte of a text from those before it.

    .. math::

        h &= E_\text{byte} + P_\text{position} \\
        h &\leftarrow h + W_O \operatorname{attention}(\operatorname{rms}_1(h)) \\
        h &\leftarrow h + W_2 \operatorname{relu}(W_1 \operatorname{rms}_2(h)) \\
        \text{logits} &= W_U \operatorname{rms}_3(h)

    with the second and third line once for each block. A position attends to itself and
    those before it. No biases. Each matrix that writes to or reads from the residual
    stream is followed or preceded by a normalisation, so that the norms of the matrices
    may be held while the network's function stays free; the gains of the
    normalisations are learned. Matrices start as normals with variance 1 / (inputs),
    both tables with variance 1 / width. The width is ``num_heads * head_dim``.

    Args:
      context: the largest number of positions.
      num_blocks: blocks of attention and MLP.
      num_heads: number of attention heads.
      head_dim: dimensions of each head.
      mlp_dim: hidden units of the MLP.
      rngs: random number generators for the initial parameters.

    Raises:
      ValueError: if a size is below 1; when called, if the bytes are no integer array
        of shape ``(n, length)`` with a length of 1 to ``context``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from models import ByteTransformer
      >>> model = ByteTransformer(8, num_heads=2, head_dim=4, rngs=nnx.Rngs(0))
      >>> text = jnp.frombuffer(b"some text", jnp.uint8)[None, :8]
      >>> model(text).shape
      (1, 8, 256)

    References:
      Radford et al., `Language Models are Unsupervised Multitask Learners
      <https://openai.com/research/better-language-models>`_, 2019; Zhang & Sennrich,
      `Root Mean Square Layer Normalization <https://arxiv.org/abs/1910.07467>`_, 2019
    """

    def __init__(
        self,
        context: int,
        *,
        num_blocks: int = 2,
        num_heads: int = 4,
        head_dim: int = 32,
        mlp_dim: int = 512,
        rngs: nnx.Rngs,
    ) -> None:
        sizes = {
            **{"context": context, "num_blocks": num_blocks, "num_heads": num_heads},
            **{"head_dim": head_dim, "mlp_dim": mlp_dim},
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}.")
        width = num_heads * head_dim
        self.context = context
        self.byte_embedding = table(NUM_BYTES, width, rngs)
        self.position_embedding = table(context, width, rngs)
        self.blocks = nnx.List(
            Block(num_heads, head_dim, mlp_dim, normalize=True, causal=True, rngs=rngs)
            for _ in range(num_blocks)
        )
        self.unembedding_norm = rms_norm(width, True, rngs)
        self.unembedding = linear(width, NUM_BYTES, rngs)

    def __call__(self, bytes_NL: jax.Array) -> jax.Array:
        """Logits of the byte that follows each position.

        Args:
          bytes_NL: shape ``(n, length)``, integers of 0 to 255.

        Returns:
          Logits, shape ``(n, length, 256)``.
        """
        _check_bytes(bytes_NL, self.context)
        h_NLD = self.byte_embedding.embedding[...][bytes_NL]
        h_NLD += self.position_embedding.embedding[...][None, : bytes_NL.shape[1]]
        for block in self.blocks:
            h_NLD = block.features(h_NLD)["residual"]
        return self.unembedding(self.unembedding_norm(h_NLD))


def _check_bytes(array: jax.Array, context: int) -> None:
    fits = jnp.ndim(array) == 2 and 1 <= array.shape[1] <= context
    if not fits or not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(
            f"bytes must be an integer array of shape (n, length), of a length of 1 to "
            f"{context}, got {array.dtype} of shape {jnp.shape(array)}."
        )
