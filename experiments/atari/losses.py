r"""Returns, targets and losses of value-based agents, of batches.

A batch has n transitions (s, a, R, Γ, s'). After the action a in s, some steps have the
return R. The value of s' is multiplied by Γ, which is 0 if the episode has ended.
Values have shape ``(n, actions)``, distributions ``(n, actions, atoms)``.
"""

import jax
import jax.numpy as jnp
import optax


def n_step_returns(
    rewards: jax.Array, discounts: jax.Array
) -> tuple[jax.Array, jax.Array]:
    r"""Discounted sums of several rewards, and the discount of the value after them.

    .. math::

        R = \sum_{i=0}^{k-1} \Bigl(\prod_{j<i} \gamma_j\Bigr) r_i, \qquad
        \Gamma = \prod_{j=0}^{k-1} \gamma_j

    Rewards after the end of an episode, where γ is 0, do not count.

    Args:
      rewards: r, shape ``(n, k)``, of k steps that follow each other.
      discounts: γ of each step, shape ``(n, k)``; 0 if it ended the episode.

    Returns:
      R and Γ, both of shape ``(n,)``.

    References:
      Sutton, `Learning to predict by the methods of temporal differences
      <https://doi.org/10.1007/BF00115009>`_, 1988
    """
    through = jnp.cumprod(discounts, axis=1)
    before = jnp.concatenate([jnp.ones_like(through[:, :1]), through[:, :-1]], axis=1)
    return jnp.sum(before * rewards, axis=1), through[:, -1]


def of_actions(values: jax.Array, actions: jax.Array) -> jax.Array:
    """The entries of one action of each row.

    Args:
      values: shape ``(n, actions, ...)``.
      actions: shape ``(n,)``, integers.

    Returns:
      An array of shape ``(n, ...)``.
    """
    return values[jnp.arange(len(actions)), actions]


def greedy_actions(values: jax.Array) -> jax.Array:
    """The first action of the highest value in each row, shape ``(n,)``."""
    return jnp.argmax(values, axis=1)


def value_targets(
    returns: jax.Array,
    discounts: jax.Array,
    next_values: jax.Array,
    next_actions: jax.Array,
) -> jax.Array:
    r"""What the values should be: R + Γ Q(s', a').

    If a' is greedy in the same values, this is Q-learning. If Q is the target network's
    and a' is greedy in the values of the trained network, this is double Q-learning.

    Args:
      returns: R, shape ``(n,)``.
      discounts: Γ, shape ``(n,)``.
      next_values: Q(s', ·) of the target network, shape ``(n, actions)``.
      next_actions: a', shape ``(n,)``.

    Returns:
      Targets, shape ``(n,)``.

    References:
      van Hasselt et al., `Deep Reinforcement Learning with Double Q-learning
      <https://arxiv.org/abs/1509.06461>`_, 2016, equation 4
    """
    return returns + discounts * of_actions(next_values, next_actions)


def huber_losses(td_errors: jax.Array) -> jax.Array:
    r"""½ δ² up to |δ| = 1, then |δ| - ½: its gradient is δ, clipped to ±1.

    So the mean over a batch of 32 is a gradient clipped at 1/32, as other agents say.

    Args:
      td_errors: δ, of any shape.

    Returns:
      Losses of the same shape.

    References:
      Mnih et al., `Human-level control through deep reinforcement learning
      <https://www.nature.com/articles/nature14236>`_, 2015, methods
    """
    return optax.losses.huber_loss(td_errors)


def atoms(num_atoms: int, v_max: float) -> jax.Array:
    """The values of a distribution: evenly spaced in ±v_max, shape ``(num_atoms,)``."""
    return jnp.linspace(-v_max, v_max, num_atoms)


def expected_values(logits: jax.Array, support: jax.Array) -> jax.Array:
    """Means of distributions.

    Args:
      logits: shape ``(..., atoms)``.
      support: the value of each atom, shape ``(atoms,)``.

    Returns:
      Means, shape ``(...)``.
    """
    return jax.nn.softmax(logits) @ support


def project_distributions(
    support: jax.Array,
    probabilities: jax.Array,
    returns: jax.Array,
    discounts: jax.Array,
) -> jax.Array:
    r"""Distributions of R + Γ Z on the atoms of Z.

    .. math::

        (\Phi p)_i = \sum_j \Bigl[1 - \tfrac{1}{\Delta}\bigl|
        [R + \Gamma z_j]_{z_1}^{z_N} - z_i\bigr|\Bigr]_0^1 p_j

    So probability between two atoms is divided between them by its distances from both,
    and probability outside goes to the first or the last atom.

    Args:
      support: z, evenly spaced by Δ and rising, shape ``(atoms,)``.
      probabilities: p, shape ``(n, atoms)``.
      returns: R, shape ``(n,)``.
      discounts: Γ, shape ``(n,)``.

    Returns:
      Probabilities of the same atoms, shape ``(n, atoms)``.

    References:
      Bellemare et al., `A Distributional Perspective on Reinforcement Learning
      <https://arxiv.org/abs/1707.06887>`_, 2017, equation 7
    """
    moved = returns[:, None] + discounts[:, None] * support[None]
    moved = jnp.clip(moved, support[0], support[-1])
    spacing = (support[-1] - support[0]) / (len(support) - 1)
    distances = jnp.abs(moved[:, None, :] - support[None, :, None]) / spacing
    shares = jnp.clip(1 - distances, 0, 1)  # (n, to, from)
    return jnp.einsum("nij,nj->ni", shares, probabilities)


def cross_entropies(logits: jax.Array, probabilities: jax.Array) -> jax.Array:
    """Cross-entropy of predicted distributions to targets, in nats, shape ``(n,)``.

    Both have shape ``(n, atoms)``. Hessel et al. (2018) prioritise by the divergence,
    which differs by the targets' entropies and has the same gradient.
    """
    return optax.losses.softmax_cross_entropy(logits, probabilities)


def importance_weights(
    probabilities: jax.Array, num_transitions: jax.Array, exponent: jax.Array
) -> jax.Array:
    r"""Weights that correct for transitions drawn more often than others.

    .. math::

        w_i = (N P_i)^{-\beta} \big/ \max_j (N P_j)^{-\beta}

    Args:
      probabilities: P, at which each of the batch was drawn, shape ``(n,)``.
      num_transitions: N, the number it was drawn from.
      exponent: β; 1 corrects fully, 0 not at all.

    Returns:
      Weights of at most 1, shape ``(n,)``.

    References:
      Schaul et al., `Prioritized Experience Replay
      <https://arxiv.org/abs/1511.05952>`_, 2016, section 3.4
    """
    weights = (num_transitions * probabilities) ** -exponent
    return weights / jnp.max(weights)
