"""Updates of the weights and of the target network, and resets."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.atari import losses
from experiments.atari.agent import Agent, Learned
from experiments.atari.config import Config
from experiments.atari.optimizers import HELD, OUTPUT_LAYERS, make_optimizer
from experiments.atari.replay.rows import Batch
from experiments.harness import resets
from experiments.harness.members import Hyperparameters


class LearnerState(NamedTuple):
    """What changes from update to update."""

    params: Any
    # An older copy of the parameters. Projected parameters are on their spheres, and so
    # is their copy, which is never projected itself.
    target_params: Any
    opt_state: Any
    num_updates: jax.Array  # () int32


class Learner:
    """An agent's updates as pure functions.

    Args:
      config: what is asked for.
      agent: that is trained.
      renews_target: whether an update renews the target network if that is due;
        otherwise the caller does, every `target_updates` updates.
    """

    def __init__(
        self, config: Config, agent: Agent, *, renews_target: bool = True
    ) -> None:
        self.config = config
        self.agent = agent
        self.renews_target = renews_target
        self.target_updates = config.updates(config.sizes.target_period_frames)

    def init(self, key: jax.Array, hyper: Hyperparameters) -> LearnerState:
        """Fresh parameters, of which the target network is a copy."""
        params = self.agent.init(key)
        return LearnerState(
            params=params,
            # With its own buffers, because those of a state are donated.
            target_params=jax.tree.map(jnp.copy, params),
            opt_state=make_optimizer(self.config, hyper).init(params),
            num_updates=jnp.zeros([], jnp.int32),
        )

    def update(
        self,
        state: LearnerState,
        hyper: Hyperparameters,
        batch: Batch,
        num_transitions: jax.Array,
        key: jax.Array,
        *,
        measures: jax.Array | bool = True,
    ) -> tuple[LearnerState, Learned]:
        """One update on a batch.

        Args:
          state: before the update.
          hyper: the numbers of the member.
          batch: the drawn transitions.
          num_transitions: the number they were drawn from.
          key: of this update.
          measures: see `make_optimizer`.

        Returns:
          The state after it, and what the batch says about the weights.
        """
        learn_key, fresh_key = jax.random.split(key)
        state = self._reset(state, fresh_key)
        weights = self._weights(state.num_updates, batch, num_transitions)

        def loss(params: Any) -> tuple[jax.Array, Learned]:
            learned = self.agent.learn(params, state.target_params, batch, learn_key)
            return jnp.mean(weights * learned.losses), learned

        grads, learned = jax.grad(loss, has_aux=True)(state.params)
        updates, opt_state = make_optimizer(self.config, hyper).update(
            grads,
            state.opt_state,
            state.params,
            value=jnp.mean(jnp.abs(learned.td_errors)),
            measures=measures,
        )
        params = optax.apply_updates(state.params, updates)
        num_updates = state.num_updates + 1
        target_params = state.target_params
        if self.renews_target:
            is_due = num_updates % self.target_updates == 0
            target_params = jax.tree.map(
                lambda new, old: jnp.where(is_due, new, old), params, target_params
            )
        return LearnerState(params, target_params, opt_state, num_updates), learned

    def _weights(
        self, num_updates: jax.Array, batch: Batch, num_transitions: jax.Array
    ) -> jax.Array:
        """Weights of the losses; 0 if no transition begins there."""
        valid = batch.is_valid.astype(jnp.float32)
        if not self.agent.switches.prioritized:
            return valid
        start = self.config.importance_exponent
        share = jnp.minimum(num_updates / self.config.num_updates, 1)
        exponent = start + (1 - start) * share
        return valid * losses.importance_weights(
            batch.probabilities, num_transitions, exponent
        )

    def _reset(self, state: LearnerState, key: jax.Array) -> LearnerState:
        """Initialises layers again, in both networks, if a reset is due.

        Adam's memory of them begins again by itself: see `optimizers`.
        """
        if self.config.reset == "none":
            return state

        def renewed(state: LearnerState) -> LearnerState:
            params = self.agent.init(key)
            if self.config.reset == "last_layers":
                params = resets.replace(state.params, params, OUTPUT_LAYERS)
            elif self.config.project:
                # The target network gets them before anything projects them.
                params = resets.at_norms_of(state.params, params, HELD)
            return state._replace(params=params, target_params=params)

        num = state.num_updates
        is_due = (num > 0) & (num % self.config.reset_updates == 0)
        return jax.lax.cond(is_due, renewed, lambda state: state, state)
