"""Cross-entropy that float32 does not round to zero."""

import jax
import jax.numpy as jnp


def precise_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    r"""Cross-entropy with a small relative error, however confident the network is.

    .. math::

        -\log p_t = \operatorname{softplus}\Bigl(\log \sum_{j \ne t} e^{z_j} - z_t\Bigr)

    The plain form is log Σ exp(z) - z_t. In float32, it and the gradient of z_t are
    exactly zero if the other classes together have less than 6e-8, while the gradients
    of the other logits are not (Prieto et al., "Grokking at the Edge of Numerical
    Stability", https://arxiv.org/abs/2501.04697, 2025). This form equals the plain form
    in float64, to the precision of float32.

    Args:
      logits: the logits, shape ``(n, classes)``.
      labels: the labels, shape ``(n,)``, integers.

    Returns:
      Losses in nats, shape ``(n,)``.
    """
    is_label = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    label_logits = jnp.sum(jnp.where(is_label, logits, 0), axis=-1)
    others = jax.nn.logsumexp(logits, axis=-1, where=~is_label)
    return jax.nn.softplus(others - label_logits)
