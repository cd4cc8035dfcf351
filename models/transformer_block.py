"""A block of a transformer, attention over some positions, then an MLP; its layers.

Shape suffixes: N sequences, L positions, Q positions that attend, D width, H heads,
K dimensions of a head, F units of the MLP.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from models import layers

__all__ = ["Block", "linear", "rms_norm", "table"]

ALL_POSITIONS = slice(None)


class Block(nnx.Module):
    """Attention and an MLP, each added to the residual stream."""

    def __init__(
        self,
        num_heads: int,
        head_dim: int,
        mlp_dim: int,
        *,
        normalize: bool,
        causal: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        width = num_heads * head_dim
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.causal = causal
        self.attention_norm = rms_norm(width, normalize, rngs)
        self.query = linear(width, width, rngs)
        self.key = linear(width, width, rngs)
        self.value = linear(width, width, rngs)
        self.output = linear(width, width, rngs)
        self.mlp_norm = rms_norm(width, normalize, rngs)
        self.mlp_in = linear(width, mlp_dim, rngs)
        self.mlp_out = linear(mlp_dim, width, rngs)

    def features(
        self, h_NLD: jax.Array, *, queries: slice = ALL_POSITIONS
    ) -> dict[str, jax.Array]:
        """Features at the positions that attend; shapes (N, Q, …)."""
        normed_NLD = self.attention_norm(h_NLD)
        weights_NHQL = self.attention_weights(normed_NLD, queries=queries)
        value_NLHK = self._heads(self.value(normed_NLD))
        attended_NQHK = jnp.einsum("nhql,nlhk->nqhk", weights_NHQL, value_NLHK)
        attended_NQD = attended_NQHK.reshape(*attended_NQHK.shape[:2], -1)
        return self.after_attention(h_NLD[:, queries], self.output(attended_NQD))

    def attention_weights(
        self, normed_NLD: jax.Array, *, queries: slice = ALL_POSITIONS
    ) -> jax.Array:
        """Attention of each head and position over all positions: (N, H, Q, L).

        If causal, over those up to its own.
        """
        query_NQHK = self._heads(self.query(normed_NLD[:, queries]))
        key_NLHK = self._heads(self.key(normed_NLD))
        scores_NHQL = jnp.einsum("nqhk,nlhk->nhql", query_NQHK, key_NLHK)
        scores_NHQL = scores_NHQL / self.head_dim**0.5
        if self.causal:
            at_L = jnp.arange(scores_NHQL.shape[-1])
            is_later_QL = at_L[None] > at_L[queries, None]
            scores_NHQL = jnp.where(is_later_QL[None, None], -jnp.inf, scores_NHQL)
        return jax.nn.softmax(scores_NHQL)

    def after_attention(
        self, h: jax.Array, attention_output: jax.Array
    ) -> dict[str, jax.Array]:
        """Adds the attention's output, then the MLP's; any leading axes."""
        h = h + attention_output
        hidden = jax.nn.relu(self.mlp_in(self.mlp_norm(h)))
        return {
            "attention_output": attention_output,
            "mlp_hidden": hidden,
            "residual": h + layers.matmul(hidden, self.mlp_out.kernel[...]),
        }

    def _heads(self, projected_NLD: jax.Array) -> jax.Array:
        return projected_NLD.reshape(
            *projected_NLD.shape[:2], self.num_heads, self.head_dim
        )


def linear(num_inputs: int, num_outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer without bias, from a normal with variance 1 / (inputs)."""
    normal = nnx.initializers.normal(num_inputs**-0.5)
    return layers.linear(num_inputs, num_outputs, normal, rngs)


def table(
    num_rows: int, width: int, rngs: nnx.Rngs, scale: float | jax.Array = 1.0
) -> nnx.Embed:
    """Normal with variance 1 / width, times the square of a scale."""
    return nnx.Embed(
        num_rows,
        width,
        embedding_init=nnx.initializers.normal(scale * width**-0.5),
        rngs=rngs,
    )


def rms_norm(
    width: int, normalize: bool, rngs: nnx.Rngs
) -> Callable[[jax.Array], jax.Array]:
    """An RMSNorm with ε = 1e-6, or the identity, without parameters."""
    if not normalize:
        return layers.identity
    return nnx.RMSNorm(width, epsilon=1e-6, rngs=rngs)
