"""Numbers of one state that announce a collapse of training."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.harness.matrices import of_matrices


def instability(
    params: Any,
    opt_state: Any,
    grads: Any,
    logits: jax.Array,
    labels: jax.Array,
    *,
    b2: Any,
    eps: Any,
) -> dict[str, jax.Array]:
    """Measures the size of updates, the age of Adam's memory and the confidence.

    Args:
      params: the parameters.
      opt_state: a state with the second moments ``nu`` and the ``count`` of one Adam,
        the `learning_rate` and the `relative_update` of the last update.
      grads: the gradients of the training loss at `params`, those of the next update.
      logits: the logits of the training pairs, shape ``(n, classes)``.
      labels: the labels of the training pairs, shape ``(n,)``.
      b2: Adam's second decay.
      eps: Adam's ε.

    Returns:
      Scalars by name. The largest over the matrices of: `gradient_over_memory`, the
      root of the mean of g²/v with the v of the next update (1 if gradients keep their
      size; Wortsman et al., https://arxiv.org/abs/2304.13013, 2023, section 3.5);
      `update_rms`, the root mean square of the last update over the learning rate;
      `largest_relative_update`. Over all their entries: `zero_gradient_fraction`, the
      share of gradients that are exactly zero. Over the pairs: `logit_gap`, the mean of
      the label's logit minus the largest other; `zero_loss_fraction`, the share with a
      plain loss that float32 rounds to zero.
    """
    rate = optax.tree.get(opt_state, "last_learning_rate")
    memory = optax.tree.get(opt_state, "nu")
    relative = optax.tree.get(opt_state, "relative_update")

    unbiased = 1 - b2 ** (optax.tree.get(opt_state, "count") + 1)

    def over_memory(grad: jax.Array, second_moment: jax.Array) -> jax.Array:
        square = jnp.square(grad)
        now = (b2 * second_moment + (1 - b2) * square) / unbiased
        return jnp.sqrt(jnp.mean(square / jnp.maximum(now, eps**2)))

    def update_rms(param: jax.Array, share: jax.Array) -> jax.Array:
        size = share * jnp.sqrt(jnp.mean(jnp.square(param)))
        return jnp.where(rate > 0, size / jnp.where(rate > 0, rate, 1), 0)

    def each(fn: Any, *trees: Any) -> list[jax.Array]:
        """A value for each matrix."""
        return jax.tree.leaves(of_matrices(params, jax.tree.map(fn, *trees)))

    def largest(fn: Any, *trees: Any) -> jax.Array:
        return jnp.max(jnp.stack(each(fn, *trees)))

    zeros = each(lambda grad: jnp.ravel(grad == 0), grads)
    is_label = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    label_logits = jnp.max(jnp.where(is_label, logits, -jnp.inf), axis=-1)
    others = jnp.max(jnp.where(is_label, -jnp.inf, logits), axis=-1)
    plain = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return {
        "gradient_over_memory": largest(over_memory, grads, memory),
        "update_rms": largest(update_rms, params, relative),
        "largest_relative_update": largest(lambda share: share, relative),
        "zero_gradient_fraction": jnp.mean(jnp.concatenate(zeros)),
        "logit_gap": jnp.mean(label_logits - others),
        "zero_loss_fraction": jnp.mean(plain == 0),
    }
