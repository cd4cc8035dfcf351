"""What tells a collapse of training beforehand: numbers of one state."""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def instability(
    params: Any,
    opt_state: Any,
    grads: Any,
    logits: jax.Array,
    labels: jax.Array,
) -> dict[str, jax.Array]:
    """How large updates are, how old Adam's memory is and how confident the network.

    Args:
      params: the parameters.
      opt_state: with the second moments ``nu`` of an Adam without bias correction to
        speak of, the `learning_rate` and the `relative_update` of the last update.
      grads: of the training loss at `params`: those of the next update.
      logits: of the training pairs, shape ``(n, classes)``.
      labels: of the training pairs, shape ``(n,)``.

    Returns:
      Scalars. Over the matrices, the largest: `gradient_over_memory`, the root of the
      mean of g²/v (about 1 at rest; StableAdamW's measure); `update_rms`, the root mean
      square of the last update over the learning rate; `largest_relative_update`. Over
      the pairs: `logit_gap`, the mean of the label's logit less the largest other;
      `zero_loss_fraction`, the share whose plain loss float32 rounds to zero.
    """
    rate = optax.tree.get(opt_state, "learning_rate")
    memory = optax.tree.get(opt_state, "nu")
    relative = optax.tree.get(opt_state, "relative_update")

    def over_memory(grad: jax.Array, second_moment: jax.Array) -> jax.Array:
        # Where both are zero (dead units) there is nothing to compare.
        tiny = jnp.finfo(grad.dtype).tiny
        ratio = jnp.square(grad) / jnp.maximum(second_moment, tiny)
        return jnp.sqrt(jnp.mean(ratio))

    def update_rms(param: jax.Array, share: jax.Array) -> jax.Array:
        return share * jnp.sqrt(jnp.mean(jnp.square(param))) / rate

    def largest(fn: Any, *trees: Any) -> jax.Array:
        values = jax.tree.map(
            lambda param, *rest: fn(*rest) if param.ndim >= 2 else None, params, *trees
        )
        return jnp.max(jnp.stack(jax.tree.leaves(values)))

    is_label = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    label_logits = jnp.max(jnp.where(is_label, logits, -jnp.inf), axis=-1)
    others = jnp.max(jnp.where(is_label, -jnp.inf, logits), axis=-1)
    plain = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return {
        "gradient_over_memory": largest(over_memory, grads, memory),
        "update_rms": largest(update_rms, params, relative),
        "largest_relative_update": largest(lambda share: share, relative),
        "logit_gap": jnp.mean(label_logits - others),
        "zero_loss_fraction": jnp.mean(plain == 0),
    }
